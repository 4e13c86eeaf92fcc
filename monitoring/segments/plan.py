"""Which segments does a version have, given what was declared for its model?

Laws
- At most `segments_max`; a declaration that finds no place, or means no rows of this version, is refused with a reason and
  takes nothing away from the others.
- A feature of categories gives a segment for each of its most frequent ones and, where not all fit, one for the rest,
  `channel=other`, with what training never had and nulls; `channel=(other)` where a category is called that. So its
  segments are disjoint.
- The same declarations and baseline give the same segments in the same order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt

from models.baseline import SPECIALS, ColumnBaseline
from models.contract import Kind
from monitoring.errors import SegmentInvalid
from monitoring.segments.grammar import Test, compile_expression

REST = "other"
NAME_CHARS_MAX = 120  # of a segment: it is a label of metrics

Index = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class InBins:
    """The rows whose value lies in these bins of a feature."""

    feature: int
    bins: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A part of the rows: those in bins of a feature, or those that pass a test."""

    name: str
    rows: InBins | Test


@dataclass(frozen=True, slots=True)
class Refused:
    """A declaration that gives no segment, or not all that it could."""

    declared: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The segments of a version, in the order of their declarations."""

    segments: tuple[Segment, ...] = ()
    refused: tuple[Refused, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        return frozenset(segment.name for segment in self.segments)


NO_SEGMENTS = Plan()


def plan(declared: Sequence[str], features: Sequence[ColumnBaseline], segments_max: int) -> Plan:
    """The segments of a version with these features."""
    places = {column.name: place for place, column in enumerate(features)}
    segments: dict[str, Segment] = {}
    refused = []
    for text in declared:
        left = segments_max - len(segments)
        try:
            if text in places:
                found = _of_feature(places[text], features[places[text]], left)
            else:
                found = [Segment(_name(text), compile_expression(text, features))]
            if not left:
                raise SegmentInvalid(text, f"{segments_max} segments before it", "a larger segments_max, or fewer")
            named = [*segments, *(segment.name for segment in found)]
            if twice := [segment.name for segment in found if named.count(segment.name) > 1]:
                raise SegmentInvalid(text, f"{twice[0]!r} twice", "each segment once")
            segments.update((segment.name, segment) for segment in found)
        except SegmentInvalid as error:
            refused.append(Refused(text, str(error)))
    return Plan(tuple(segments.values()), tuple(refused))


def _of_feature(place: int, column: ColumnBaseline, left: int) -> list[Segment]:
    values = _values(column)
    if not values:
        raise SegmentInvalid(column.name, f"a {column.kind.value} feature without categories", "an expression of it")
    often = sorted(values, key=lambda value: (-column.counts[value[1]], value[0]))
    whole = len(values) == column.bins - SPECIALS
    kept = often if whole and len(often) <= left else often[: max(0, left - 1)]
    if not kept and left:
        raise SegmentInvalid(column.name, "place for one segment", "two or more for a feature of categories")
    segments = [Segment(_name(f"{column.name}={text}"), InBins(place, (at,))) for text, at in kept]
    if len(kept) < len(often) or not whole:
        rest = tuple(sorted(set(range(column.bins)) - {at for _, at in kept}))
        segments.append(Segment(_name(f"{column.name}={_rest({text for text, _ in values})}"), InBins(place, rest)))
    return segments


def _rest(values: set[str]) -> str:
    """A word for all others that none of them is."""
    word = REST
    while word in values:
        word = f"({word})"
    return word


def _values(column: ColumnBaseline) -> list[tuple[str, int]]:
    """The values that have a bin of their own, with it."""
    match column.kind:
        case Kind.STRING:
            return [(text, SPECIALS + i) for i, text in enumerate(column.categories or column.top)]
        case Kind.BOOL:
            last = column.bins - 1
            return [("false", SPECIALS), ("true", last)] if last > SPECIALS else []
        case Kind.FLOAT | Kind.INT:
            return []
        case never:
            assert_never(never)


def _name(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= NAME_CHARS_MAX else short[: NAME_CHARS_MAX - 1] + "…"
