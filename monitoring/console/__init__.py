"""The console: one page that says whether all is well, what changed and what to do."""
