"""What must stay as it is because somebody outside holds on to it: formats, shapes of answers, names of others."""
