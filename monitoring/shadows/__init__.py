"""Paired comparison of what shadows said with the answers that were given."""
