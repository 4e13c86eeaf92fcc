"""What is looked at when an incident is told: counts since the change, and rows before and after it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from monitoring.explain.ladder import Ladder
from monitoring.explain.sample import Rows, join
from monitoring.explain.since import Since, Stretch, partition
from monitoring.reference import Extra, Reference
from monitoring.skew import rows_came

NOW_ROWS_MIN = 15  # below it the sample begins with an earlier slice, in which the change may lie

Counts = npt.NDArray[np.int64]
Tiers = Mapping[int, Mapping[int, Counts]]  # by length of a slice in minutes: counts by number of the slice


class Arm(NamedTuple):
    """What is held of one version and arm."""

    version: str
    arm: str
    mine: bool
    reference: Reference
    tiers: Tiers
    ladder: Ladder | None


class Scene(NamedTuple):
    """What is looked at: counts since the change, rows before and after it."""

    reference: Reference
    counts: Counts
    came: int
    before: Rows
    now: Rows


def stretches_of(arms: Sequence[Arm], reference: Reference, first: int, last: int) -> list[Stretch]:
    """Whole vectors by slice, over the arms, of slices that lie in the minutes."""
    tiers: dict[int, dict[int, Counts]] = {}
    for arm in arms:
        for minutes, slices in arm.tiers.items():
            held = tiers.setdefault(minutes, {})
            for number, counts in slices.items():
                if first <= number * minutes <= last and counts.size == reference.size:
                    held[number] = held[number] + counts if number in held else counts
    return partition(
        [[Stretch(n * minutes, minutes, counts) for n, counts in held.items()] for minutes, held in tiers.items()]
    )


def part(reference: Reference, counts: Counts, place: int) -> Counts:
    """A column's bins; of the whole row what became of it."""
    return reference.bins(counts, place) if place >= 0 else counts[int(reference.starts[-1]) :][: len(Extra)]


def trained(reference: Reference, place: int, counts: Counts) -> Counts:
    """What training says of a column in the hours that these rows came in; of the whole row that it was answered."""
    if place >= 0:
        return reference.bins(reference.expected(counts[None, :])[0], place)
    answered = np.zeros(len(Extra), dtype=np.int64)
    answered[Extra.ROWS_ANSWERED] = max((sum(column.counts) for column in reference.columns), default=0)
    return answered


def scene_of(
    arms: Sequence[Arm], reference: Reference, stretches: Sequence[Stretch], change: Since, first: int, last: int
) -> Scene:
    ladders = [arm.ladder for arm in arms if arm.ladder is not None]
    columns = len(reference.columns)
    now = Rows.none(columns)
    for begin in (change.sure, change.minute, change.earliest):  # the surest rows that are enough
        if now.n < NOW_ROWS_MIN:
            now = join([ladder.between(begin, last) for ladder in ladders], columns)
    before = join([ladder.between(first, change.earliest - 1) for ladder in ladders], columns)
    after = [stretch.counts for stretch in stretches if stretch.first >= change.minute]
    counts = np.sum(after, axis=0) if after else np.zeros(reference.size, dtype=np.int64)
    return Scene(reference, counts, int(rows_came(reference, counts)), before, now)
