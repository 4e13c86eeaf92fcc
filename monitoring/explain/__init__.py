"""What happened, in words: since when, what it looks like, in which rows and whose; from counts and a sample of rows."""
