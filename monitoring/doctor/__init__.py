"""What `plumbline monitor doctor` looks at."""
