"""The systems that are compared, one file a family; the code that runs them is in `targets/`."""
