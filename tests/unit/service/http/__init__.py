"""Mirrors service/http/."""
