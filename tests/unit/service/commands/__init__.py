"""Mirrors service/commands/."""
