"""Where artefacts come from: one file a scheme."""
