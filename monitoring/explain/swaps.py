"""Do two columns hold each other's values?

Law: a pair is named only where each one fits what the other should hold, and the other does not fit what it should hold itself.
"""

import numpy as np

from models.baseline import SPECIALS
from models.contract import Kind
from monitoring.explain.fit import LEFT_MAX, MOVED_P_MAX, P_MIN, Fit, fit
from monitoring.explain.numbers import ROWS_MIN, moved
from monitoring.explain.scene import Scene
from monitoring.explain.values import numbers, target_of, texts, texts_expected


def swapped_with(scene: Scene, here: int) -> int | None:
    """The feature whose values this one holds, and that holds its own."""
    if here >= scene.reference.features:
        return None
    fitting: list[tuple[float, int]] = []
    for other in range(scene.reference.features):
        if other == here or _is_text(scene, other) is not _is_text(scene, here):
            continue
        mine, theirs, straight = (_against(scene, *pair) for pair in ((here, other), (other, here), (other, other)))
        if mine is None or theirs is None or straight is None or straight.p() >= MOVED_P_MAX:
            continue
        if _fits(mine, straight) and _fits(theirs, straight):
            fitting.append((mine.g + theirs.g, other))
    return min(fitting)[1] if fitting else None


def _is_text(scene: Scene, place: int) -> bool:
    return scene.reference.columns[place].kind is Kind.STRING


def _fits(crossed: Fit, straight: Fit) -> bool:
    return crossed.p() > P_MIN or crossed.effect < LEFT_MAX * straight.effect


def _against(scene: Scene, here: int, there: int) -> Fit | None:
    """How the values that column `here` holds now fit what `there` should hold; None where that cannot be said."""
    if _is_text(scene, here):
        return _texts_against(scene, here, there)
    target, (values, _) = target_of(scene.reference, there, scene.before), numbers(scene.now, scene.reference, here)
    return None if target is None or values.size < ROWS_MIN else moved(values, target)


def _texts_against(scene: Scene, here: int, there: int) -> Fit | None:
    columns = scene.reference.columns
    if columns[here].buckets or columns[there].buckets:
        return None  # of free text the sample holds buckets
    came = texts(scene.now, scene.reference, here)
    rows = {**came.unseen, **dict(zip(columns[here].labels()[SPECIALS:], came.seen.tolist(), strict=True))}
    seen = np.array([rows.pop(name, 0) for name in columns[there].labels()[SPECIALS:]], dtype=np.float64)
    new = float(sum(rows.values()))
    expected = texts_expected(scene.reference, there, scene.before)
    if new + seen.sum() < ROWS_MIN:
        return None
    weights, counts = np.array([0.0, *expected, 0.0]), np.array([new, *seen, 0.0])
    return fit(weights, counts, float(expected.sum()), range_known=True)
