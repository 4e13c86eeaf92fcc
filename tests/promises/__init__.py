"""The promises of DESIGN §1 and the rules of the house, each held by a test."""
