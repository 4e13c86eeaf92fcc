"""Mirrors of loadtests/bench/."""
