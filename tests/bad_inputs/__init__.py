"""Bad requests and their answers, as a test sends them and docs/reference.md shows them."""
