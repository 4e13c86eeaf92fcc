"""Versions that must never be served."""
