"""Files of every format version, written once and read by every later version."""
