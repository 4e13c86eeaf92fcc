"""The HTTP service: validate, route, run, log, answer."""
