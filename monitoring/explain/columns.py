"""What became of each column: what counts show of its faults, what the sample shows of its values.

Law: what can be seen in counts is told from counts, which hold every row, also refused ones; the sample is asked what they
cannot show: which values, in which rows.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from models.baseline import SPECIALS, Special
from models.contract import Kind
from monitoring.explain.bools import recognise_bools
from monitoring.explain.categories import recognise_categories
from monitoring.explain.looks import AnyLook, Frozen, Missing, NewCategory, Nulls, Refused, Swapped, Unrecognised
from monitoring.explain.numbers import hit, recognise_numbers
from monitoring.explain.sample import Rows
from monitoring.explain.scene import Scene
from monitoring.explain.story import COLUMNS_MAX
from monitoring.explain.swaps import swapped_with
from monitoring.explain.values import bools, bools_expected, numbers, target_of, texts, texts_expected
from monitoring.explain.where import bins
from monitoring.reference import Reference

FAULT_MIN = 0.01  # share of rows above training that is worth a word: what skew tolerates
FAULT_ERRORS = 4.0  # standard errors of that share
_WORDS = {Special.NULL: "null", Special.NAN: "NaN", Special.NEG_INF: "-inf", Special.POS_INF: "+inf"}

Mask = npt.NDArray[np.bool_]


class Told(NamedTuple):
    place: int
    look: AnyLook
    rows: int
    hit: Mask  # of the rows since the change


def columns_told(scene: Scene, places: Sequence[int]) -> list[Told]:
    told = [_column(scene, place) for place in places[:COLUMNS_MAX]]
    for one in told[:1]:
        if not _named(one.look) and (other := swapped_with(scene, one.place)) is not None:
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
    if column.kind is Kind.BOOL:
        expected = bools_expected(reference, place, before)
        return Told(place, recognise_bools(expected, bools(now, reference, place), float(expected.sum())), now.n, there)
    target = target_of(reference, place, before)
    if target is None:
        return Told(place, Unrecognised(rows=now.n), now.n, everything)
    look, _ = recognise_numbers(values, target, column.std or 0.0)
    everything[there] = hit(look, values, target)
    everything[~there] = False
    return Told(place, look, int(there.sum()), everything)


def _of_categories(reference: Reference, place: int, before: Rows, now: Rows) -> AnyLook:
    names, expected = reference.columns[place].labels()[SPECIALS:], texts_expected(reference, place, before)
    came = texts(now, reference, place)
    look, _ = recognise_categories(names, expected, came.seen, came.unseen, float(expected.sum()))
    return look


def _fault(scene: Scene, place: int) -> AnyLook | None:
    """What counts show that values do not: absent, another type, null, not a number; the largest of them."""
    reference = scene.reference
    seen, trained = reference.bins(scene.counts, place), reference.bins(reference.baseline, place)
    came = scene.came if place < reference.features else int(seen.sum())
    best: tuple[float, AnyLook] | None = None
    for special in (Special.ABSENT, Special.WRONG_TYPE, *_WORDS):
        before = float(trained[special] / max(1, trained.sum()))
        rate = float(seen[special] / max(1, came))
        excess = (rate - before) / max(1e-9, 1 - before)
        if excess < FAULT_MIN or excess < FAULT_ERRORS * (max(before, rate) / max(1, came)) ** 0.5:
            continue
        share = min(1.0, round(excess, 2))
        look: AnyLook
        if special is Special.ABSENT:
            look = Missing(share=share)
        elif special is Special.WRONG_TYPE:
            look = Refused(what="another type", share=share)
        else:
            look = Nulls(what=_WORDS[special], trained=round(before, 4), now=round(rate, 4), share=share)
        if best is None or excess > best[0]:
            best = (excess, look)
    return None if best is None else best[1]


def _fault_hit(scene: Scene, place: int, look: AnyLook) -> Mask:
    index = bins(scene.now, scene.reference, place)
    return np.isin(index, list(_WORDS)) if isinstance(look, Nulls) else np.zeros(scene.now.n, dtype=np.bool_)


def _named(look: AnyLook) -> bool:
    return isinstance(look, Frozen | Missing | Refused | Nulls)


def _paired(scene: Scene, told: list[Told], one: Told, other: int) -> list[Told]:
    names = scene.reference.columns
    pair = [
        one._replace(look=Swapped(other=names[other].name), hit=np.ones(scene.now.n, dtype=np.bool_)),
        Told(other, Swapped(other=names[one.place].name), one.rows, np.ones(scene.now.n, dtype=np.bool_)),
    ]
    return [*pair, *(rest for rest in told if rest.place not in (one.place, other))]


def inside(scene: Scene, place: int, before: Rows, now: Rows, otherwise: Told) -> Told:
    """The look of the rows of a segment alone."""
    if isinstance(otherwise.look, Nulls):
        return otherwise._replace(look=_nulls_inside(scene, place, otherwise.look, now))
    within = _of_rows(scene, place, before, now)
    if isinstance(within.look, Unrecognised):
        return otherwise
    return within._replace(hit=np.isin(scene.now.hashes, now.hashes[within.hit]))


def _nulls_inside(scene: Scene, place: int, look: Nulls, now: Rows) -> Nulls:
    """How often in these rows, as the sample shows it."""
    special = next(special for special, word in _WORDS.items() if word == look.what)
    rate = float((bins(now, scene.reference, place) == special).mean()) if now.n else look.now
    excess = (rate - look.trained) / max(1e-9, 1 - look.trained)
    return msgspec.structs.replace(look, now=round(rate, 4), share=min(1.0, max(0.0, round(excess, 2))))
