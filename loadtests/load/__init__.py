"""Load for people: which scenarios there are, what a run of one shows, and the report that says whether it was good enough."""
