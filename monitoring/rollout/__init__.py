"""A canary by evidence: what a rollout is, what was seen of it, and what follows."""
