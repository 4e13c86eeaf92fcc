"""Real servers, real models, real files."""
