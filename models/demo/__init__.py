"""The demo models: where their traffic comes from, how they are trained, and the artefacts that are committed."""
