"""The promises of the README and the rules of the house, each held by a test."""
