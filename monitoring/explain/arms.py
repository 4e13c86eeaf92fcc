"""Is it in the data or in the version: in which arms did the column change, each by its own reference?"""

from collections.abc import Sequence

import numpy as np

from monitoring.explain.fit import Fit, fit
from monitoring.explain.scene import Arm, stretches_of, trained
from monitoring.explain.story import ARMS_MAX, ArmStory

ROWS_MIN = 30  # of an arm; below, nothing is said of it
CONFIDENCE = 0.999
SPARED = 0.3  # an arm whose change is below this part of the whole one is spared


def arms_hit(arms: Sequence[Arm], name: str, minute: int, first: int, last: int) -> tuple[ArmStory, ...]:
    """In which arms the column changed, by their own references; `first` and `last` bound what is counted."""
    found: list[tuple[Arm, int, Fit | None]] = []
    for arm in arms:
        place = next((j for j, column in enumerate(arm.reference.columns) if column.name == name), None)
        after = [s.counts for s in stretches_of([arm], arm.reference, first, last) if s.first >= minute]
        if place is None or not after:
            found.append((arm, 0, None))
            continue
        counts = np.sum(after, axis=0)
        seen = arm.reference.bins(counts, place).astype(float)
        expected = trained(arm.reference, place, counts).astype(float)
        enough = seen.sum() >= ROWS_MIN
        found.append((arm, int(seen.sum()), fit(expected, seen, float(expected.sum())) if enough else None))
    whole = max((f.effect for arm, _, f in found if f is not None and arm.mine), default=0.0)
    return tuple(
        ArmStory(arm.version, arm.arm, None if f is None else _hit_arm(f, whole), rows)
        for arm, rows, f in found[:ARMS_MAX]
    )


def _hit_arm(seen: Fit, whole: float) -> bool | None:
    least, most = seen.bounds(CONFIDENCE)
    if most < SPARED * whole:
        return False
    return True if least > 0 else None


def cause_of(features: bool, arms: Sequence[ArmStory], version: str) -> str:
    """What arrives changed: data. Only outputs did, and only of this version: version."""
    if features:
        return "data"
    others = [arm for arm in arms if arm.version != version]
    return "version" if others and all(arm.hit is False for arm in others) else "unknown"
