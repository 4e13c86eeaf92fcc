"""How long did it take: quantiles of durations from integer counts in fixed memory.

Laws
- A sketch is a vector of `BUCKETS` counts; merging two is adding them, so it does not matter who counted what.
- `quantile` is within `RELATIVE_ERROR` of the true duration of that rank for durations of 1 µs to 1000 s; shorter and
  longer ones count as the nearest of the two.

Source: DDSketch (Masson, Rim, Lee, VLDB 2019): bucket i = ceil(log_γ x) holds γ^(i-1) < x ≤ γ^i, is answered by
2γ^i/(γ+1), and γ = (1+ε)/(1-ε) makes that answer ε-close to everything in the bucket.
"""

from math import ceil, log

import numpy as np
import numpy.typing as npt

# 520 buckets of 8 bytes: 4 kB a slice; 1 % would double that and nobody pages on a 1 % slower p99.
RELATIVE_ERROR = 0.02
LONGEST_US = 1_000_000_000  # 1000 s: above every deadline a server would set
GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = log(GAMMA)
BUCKETS = ceil(log(LONGEST_US) / _LOG_GAMMA) + 1

Counts = npt.NDArray[np.int64]


def sketch(durations_us: npt.NDArray[np.int64]) -> Counts:
    """Counts of the durations; durations_us: shape (n,)."""
    inside = np.clip(durations_us, 1, LONGEST_US).astype(np.float64)
    buckets = np.ceil(np.log(inside) / _LOG_GAMMA).astype(np.intp)
    return np.bincount(buckets, minlength=BUCKETS).astype(np.int64, copy=False)


def quantile(counts: Counts, q: float) -> float | None:
    """The duration in µs that a share `q` of the counted ones does not exceed; None when nothing was counted."""
    n = int(counts.sum())
    if n == 0:
        return None
    rank = max(1, ceil(q * n))
    bucket = int(np.searchsorted(np.cumsum(counts), rank))
    return float(2 * GAMMA**bucket / (GAMMA + 1))
