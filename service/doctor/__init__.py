"""What `plumbline doctor` looks at before and while a home is served."""
