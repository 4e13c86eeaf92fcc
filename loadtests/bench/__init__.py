"""The speed comparison: the same model on the same core, each system in turn (`make bench`)."""
