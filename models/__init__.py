"""Models as values and files: contract, baseline, pin, registry, inspection, session."""
