"""Clients that cannot live beside us: a lock each, and what is run in its environment."""
