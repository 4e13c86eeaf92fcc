"""What became of each column: what counts show of its faults, what the sample shows of its values.

Law: what can be seen in counts is told from counts, which hold every row, also refused ones; the sample is asked what they
cannot show: which values, in which rows.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.baseline import SPECIALS, Special
from models.contract import Kind
from monitoring.explain.categories import recognise_categories
from monitoring.explain.fit import LEFT_MAX, MOVED_P_MAX, P_MIN, Fit
from monitoring.explain.looks import AnyLook, Frozen, Missing, NewCategory, Nulls, Refused, Swapped, Unrecognised
from monitoring.explain.numbers import ROWS_MIN, hit, moved, recognise_numbers
from monitoring.explain.sample import Rows
from monitoring.explain.scene import Scene
from monitoring.explain.story import COLUMNS_MAX
from monitoring.explain.target import Target, edges_of, of_baseline, of_rows
from monitoring.explain.where import bins
from monitoring.reference import Reference

BEFORE_ROWS_MIN = 300  # of rows just before the change, to be held against in place of the baseline
FAULT_MIN = 0.01  # share of rows above training that is worth a word: what skew tolerates
FAULT_ERRORS = 4.0  # standard errors of that share
_WORDS = {Special.NULL: "null", Special.NAN: "NaN", Special.NEG_INF: "-inf", Special.POS_INF: "+inf"}

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Told(NamedTuple):
    place: int
    look: AnyLook
    rows: int
    hit: Mask  # of the rows since the change


def columns_told(scene: Scene, places: Sequence[int]) -> list[Told]:
    told = [_column(scene, place) for place in places[:COLUMNS_MAX]]
    for one in told[:1]:
        if (other := _swapped(scene, one)) is not None:
            told = _paired(scene, told, one, other)
    return sorted(told, key=lambda one: isinstance(one.look, Unrecognised))


def _column(scene: Scene, place: int) -> Told:
    fault = _fault(scene, place)
    if fault is not None:
        return Told(place, fault, scene.came, _fault_hit(scene, place, fault))
    return _of_rows(scene, place, scene.before, scene.now)


def _of_rows(scene: Scene, place: int, before: Rows, now: Rows) -> Told:
    reference, everything = scene.reference, np.ones(now.n, dtype=np.bool_)
    column = reference.columns[place]
    if column.kind is Kind.STRING:
        look = _of_categories(reference, place, before, now)
        hits = bins(now, reference, place) == Special.UNSEEN if isinstance(look, NewCategory) else everything
        return Told(place, look, now.n, hits)
    values, there = numbers(now, reference, place)
    target = _target(reference, place, before)
    if target is None:
        return Told(place, Unrecognised(rows=now.n), now.n, everything)
    look, _ = recognise_numbers(values, target, column.std or 0.0)
    everything[there] = hit(look, values, target)
    everything[~there] = False
    return Told(place, look, int(there.sum()), everything)


def numbers(rows: Rows, reference: Reference, place: int) -> tuple[Floats, Mask]:
    """The finite values of a column, and in which rows they are."""
    cells = rows.cells[:, place].copy()
    values = cells.view("<f8") if reference.columns[place].kind is Kind.FLOAT else cells.astype(np.float64)
    there = np.isfinite(values) & ~rows.nulls[:, place]
    return values[there], there


def _target(reference: Reference, place: int, before: Rows) -> Target | None:
    """What training held; where the rows just before the change already differ from it, those."""
    trained = of_baseline(reference.columns[place])
    values, _ = numbers(before, reference, place)
    if values.size < BEFORE_ROWS_MIN:
        return trained
    return of_rows(values, edges_of(reference.columns[place]))


def _of_categories(reference: Reference, place: int, before: Rows, now: Rows) -> AnyLook:
    column = reference.columns[place]
    expected = np.array(column.counts[SPECIALS:], dtype=np.float64)
    rows = float(expected.sum())
    if before.n >= BEFORE_ROWS_MIN:
        expected = np.bincount(bins(before, reference, place), minlength=column.bins)[SPECIALS:].astype(np.float64)
        rows = float(expected.sum())
    index = bins(now, reference, place)
    seen = np.bincount(index, minlength=column.bins)[SPECIALS:].astype(np.float64)
    unseen: dict[str, int] = {}
    for i in np.flatnonzero(index == Special.UNSEEN).tolist():
        text = next((text for at, text in now.texts[i] if at == place), "")
        unseen[text] = unseen.get(text, 0) + 1
    look, _ = recognise_categories(column.labels()[SPECIALS:], expected, seen, unseen, rows)
    return look


def _fault(scene: Scene, place: int) -> AnyLook | None:
    """What counts show that values do not: absent, another type, null, not a number; the largest of them."""
    reference = scene.reference
    seen, trained = reference.bins(scene.counts, place), reference.bins(reference.baseline, place)
    came = scene.came if place < reference.features else int(seen.sum())
    best: tuple[float, AnyLook] | None = None
    for special in (Special.ABSENT, Special.WRONG_TYPE, *_WORDS):
        before = float(trained[special] / max(1, trained.sum()))
        share = float(seen[special] / max(1, came))
        excess = (share - before) / max(1e-9, 1 - before)
        if excess < FAULT_MIN or excess < FAULT_ERRORS * (max(before, share) / max(1, came)) ** 0.5:
            continue
        share = min(1.0, round(excess, 2))
        look: AnyLook
        if special is Special.ABSENT:
            look = Missing(share=share)
        elif special is Special.WRONG_TYPE:
            look = Refused(what="another type", share=share)
        else:
            look = Nulls(what=_WORDS[special], trained=round(before, 4), share=share)
        if best is None or excess > best[0]:
            best = (excess, look)
    return None if best is None else best[1]


def _fault_hit(scene: Scene, place: int, look: AnyLook) -> Mask:
    index = bins(scene.now, scene.reference, place)
    return np.isin(index, list(_WORDS)) if isinstance(look, Nulls) else np.zeros(scene.now.n, dtype=np.bool_)


def _swapped(scene: Scene, one: Told) -> int | None:
    """The feature whose values this one holds, and that holds its own."""
    reference, here = scene.reference, one.place
    kind = reference.columns[here].kind
    if (
        here >= reference.features
        or kind is Kind.STRING
        or (not isinstance(one.look, Unrecognised) and _named(one.look))
    ):
        return None
    values, _ = numbers(scene.now, reference, here)
    target = _target(reference, here, scene.before)
    fitting: list[tuple[float, int]] = []
    for other, column in enumerate(reference.columns[: reference.features]):
        if other == here or column.kind is Kind.STRING or target is None:
            continue
        others, _ = numbers(scene.now, reference, other)
        theirs = _target(reference, other, scene.before)
        if theirs is None or min(values.size, others.size) < ROWS_MIN:
            continue
        crossed, straight = (moved(values, theirs), moved(others, target)), moved(others, theirs)
        if all(_fits(fit_, straight) for fit_ in crossed) and straight.p() < MOVED_P_MAX:
            fitting.append((sum(fit_.g for fit_ in crossed), other))
    return min(fitting)[1] if fitting else None


def _named(look: AnyLook) -> bool:
    return isinstance(look, Frozen | Missing | Refused | Nulls)


def _fits(crossed: Fit, straight: Fit) -> bool:
    return crossed.p() > P_MIN or crossed.effect < LEFT_MAX * straight.effect


def _paired(scene: Scene, told: list[Told], one: Told, other: int) -> list[Told]:
    names = scene.reference.columns
    pair = [
        one._replace(look=Swapped(other=names[other].name), hit=np.ones(scene.now.n, dtype=np.bool_)),
        Told(other, Swapped(other=names[one.place].name), one.rows, np.ones(scene.now.n, dtype=np.bool_)),
    ]
    return [*pair, *(rest for rest in told if rest.place not in (one.place, other))]


def inside(scene: Scene, place: int, before: Rows, now: Rows, otherwise: Told) -> Told:
    """The look of the rows of a segment alone."""
    within = _of_rows(scene, place, before, now)
    if isinstance(within.look, Unrecognised):
        return otherwise
    return within._replace(hit=np.isin(scene.now.hashes, now.hashes[within.hit]))
