"""Mirrors of loadtests/."""
