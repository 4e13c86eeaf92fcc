"""The feature log: the one contract between server and sidecar. FORMAT.md is the specification."""
