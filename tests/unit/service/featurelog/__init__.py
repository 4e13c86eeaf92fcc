"""Mirrors service/featurelog/."""
