"""The sidecar: folds the feature log into metrics, verdicts and events."""
