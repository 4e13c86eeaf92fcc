"""How good the models are: by labels as they arrive, by an estimate before they do, and an alarm when that changes."""
