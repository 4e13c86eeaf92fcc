"""What does a change of a bool look like? One value, or true in another share of the rows.

Law: a share alone cannot tell values that were inverted from a share that moved as far, so inversion is said beside the share
and never undone.
"""

import numpy as np
import numpy.typing as npt

from monitoring.explain.fit import Candidate, Fit, choose, fit
from monitoring.explain.looks import AnyLook, Frozen, TrueShare, Unrecognised

NAMES = ("false", "true")
FROZEN_SHARE = 0.99
INVERTED_P_MIN = 0.01  # of as many rows being true as were false

Floats = npt.NDArray[np.float64]


def recognise_bools(expected: Floats, seen: Floats, rows: float) -> AnyLook:
    """expected: weights of false and true that stand for `rows` rows; seen: rows that came; shapes (2,)."""
    n = float(seen.sum())
    if n <= 0 or expected.sum() <= 0:
        return Unrecognised(rows=int(n))
    trained, now, most = float(expected[1] / expected.sum()), float(seen[1] / n), int(np.argmax(seen))
    inverted = fit(expected[::-1], seen, rows).p() > INVERTED_P_MIN
    share = round(abs(now - trained), 3)
    exact = Fit(0.0, 1, n)
    found = [
        Candidate(TrueShare(trained=round(trained, 3), now=round(now, 3), inverted=inverted, share=share), 1, exact)
    ]
    if seen[most] >= FROZEN_SHARE * n and expected[most] < 0.9 * expected.sum():
        found.append(Candidate(Frozen(value=NAMES[most]), 0, exact))
    best = choose(found, fit(expected, seen, rows))
    return Unrecognised(rows=int(n)) if best is None else best.look
