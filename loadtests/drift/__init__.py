"""How soon and how truly does it tell, beside others: the detection comparison (`make bench-drift`)."""
