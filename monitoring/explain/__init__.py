"""What happened, in words: since when, what it looks like, which rows, and whose they are; a function of counts and a sample of rows."""
