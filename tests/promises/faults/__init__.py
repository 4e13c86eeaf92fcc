"""P1 to P3 under every fault: one table (`python -m tests.promises.faults`)."""
