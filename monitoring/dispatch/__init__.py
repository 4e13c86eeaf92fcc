"""Who is told of an incident, when, in which words, and what people and receivers said about it."""
