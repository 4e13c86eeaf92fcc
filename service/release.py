"""Which release is this? The one place that says it: a bento has no installed distribution to ask."""

RELEASE = "0.1.0"
