"""Each alert of deploy/prometheus, made to fire by what it is there for."""
