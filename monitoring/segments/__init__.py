"""Parts of the traffic that are watched on their own: which rows, how they are counted, what they are compared with."""
