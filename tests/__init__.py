"""The tests: mirrors of the source, promises, contracts, and real processes in integration."""
