"""Mirrors of loadtests/load/."""
