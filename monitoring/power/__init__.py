"""How small a change would be seen, and how soon: the power card of a model version."""
