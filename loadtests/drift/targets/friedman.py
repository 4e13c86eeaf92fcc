"""FriedmanDrift as rows: TRIALS streams whose concept changes for good after BEFORE rows, and rows of the first concept.

python friedman.py OUT.npz TRIALS BEFORE AFTER TRAINING SEED
"""

import sys

import numpy as np
from river.datasets import synth

NEVER = 10**9


def rows(seed: int, n: int, change: int) -> np.ndarray:
    """Shape (n, 11): ten features and the target."""
    stream = synth.FriedmanDrift(drift_type="gra", position=(change, change + NEVER), seed=seed).take(n)
    return np.array([[*x.values(), y] for x, y in stream], dtype=np.float64)


if __name__ == "__main__":
    out, *numbers = sys.argv[1:]
    trials, before, after, training, seed = map(int, numbers)
    streams = [rows(seed + 1 + trial, before + after, before) for trial in range(trials)]
    np.savez(out, training=rows(seed, training, NEVER), streams=np.stack(streams))
