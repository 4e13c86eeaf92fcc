"""What do the tests of rollouts feed them: one output, and minutes made of a few numbers."""

import numpy as np

from models.baseline import SPECIALS, ColumnBaseline
from models.contract import Kind
from monitoring.rollout.evidence import Counts, Cuts, Minute, Part
from monitoring.sketch import sketch

SCORE = ColumnBaseline(
    name="score", kind=Kind.FLOAT, counts=(0,) * SPECIALS + (100,) * 4, edges=(0.25, 0.5, 0.75), low=0.0, high=1.0
)
CUTS = Cuts.of([SCORE])
FAST_US = 1000


def arm(
    requests: int,
    *,
    failed: int = 0,
    rejected: int = 0,
    labelled: int = 0,
    wrong: int = 0,
    took_us: int = FAST_US,
    value_bin: int | None = None,
) -> Counts:
    """A minute of one arm: all answers took as long, and lie in one bin, or evenly in all four."""
    answered = requests - failed - rejected
    vector = np.zeros(Part.OUTPUTS + CUTS.bins, dtype=np.int64)
    vector[: Part.LATENCY] = (requests, failed, rejected, labelled, wrong)
    vector[Part.LATENCY : Part.OUTPUTS] = sketch(np.full(answered, took_us))
    if value_bin is None:
        vector[Part.OUTPUTS + SPECIALS :] = [(answered + place) // 4 for place in range(4)]
    else:
        vector[Part.OUTPUTS + SPECIALS + value_bin] = answered
    return vector


def minute(number: int, canary: Counts, stable: Counts, percent: float = 5) -> Minute:
    return Minute(number, canary, stable, stable // 2, round(percent * 100), round(percent * 100))


def alike(number: int, canary: int = 20, stable: int = 380, percent: float = 5) -> Minute:
    """A minute in which both arms do the same."""
    return minute(number, arm(canary), arm(stable), percent)
