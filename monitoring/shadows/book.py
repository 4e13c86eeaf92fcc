"""What is remembered of shadows: rooms of answers, and what the pairs of each rival added up to in a window of event time.

Laws
- The book follows from the records of each writer in their order: any chunks, any order of writers, any restart between
  give the same, to the integer.
- It is bounded: RIVALS_MAX vectors by SLICES_MAX slices, WORST requests a slice, rooms as room.py says; a rival beyond is
  counted in `refused`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from monitoring.reference import Reference
from monitoring.shadows.count import Counts, Worst, count, worst_of
from monitoring.shadows.layout import Layout
from monitoring.shadows.room import WRITERS_MAX, Pair, Rival, Room, Unpaired
from monitoring.window import MINUTE_S, MINUTE_US, Ring, Span
from service.featurelog.chunk import Run
from service.featurelog.record import Schema

RIVALS_MAX = 32
SLICES_MAX = 12  # a vector is up to 70 kB
FORGOTTEN_AFTER = 2  # windows without a pair


def span_of(window_s: int) -> Span:
    """The window in slices of whole minutes."""
    minutes = max(1, window_s // MINUTE_S)
    return Span(minutes, ceil(minutes / SLICES_MAX))


@dataclass(slots=True)
class Track:
    """The counts of one rival, and the worst requests of each slice."""

    ring: Ring
    last_minute: int
    worst: dict[int, list[Worst]] = field(default_factory=dict)

    def add(self, minute: int, counts: Counts, worst: list[Worst]) -> None:
        if self.ring.total is not None and self.ring.total.size != counts.size:
            self.worst.clear()  # a baseline was added late: the ring starts again, and so do distances in its scales
        self.ring.add(minute, counts)
        number = self.ring.span.newest(minute)
        self.worst[number] = worst_of([*self.worst.get(number, ()), *worst])
        self.last_minute = max(self.last_minute, minute)

    def advance(self, minute: int) -> None:
        self.ring.advance(minute)
        for number in [number for number in self.worst if number < self.ring.span.oldest(minute)]:
            del self.worst[number]


@dataclass(slots=True)
class Book:
    """Owned and changed by who folds; `unpaired`: what a shadow said that has no answer to be held against, in all."""

    rooms: dict[str, Room] = field(default_factory=dict)
    tracks: dict[Rival, Track] = field(default_factory=dict)
    schemas: dict[str, Schema] = field(default_factory=dict)  # of the rivals, by digest
    unpaired: Counter[Unpaired] = field(default_factory=Counter)
    refused: int = 0
    forgotten: int = 0

    def take(
        self,
        runs: Iterable[tuple[Run, bool]],
        window_s: int,
        closed: int | None,
        references: Mapping[str, Reference],
    ) -> None:
        """A chunk's runs, each with whether a shadow's record is in it; `closed`: the last closed minute."""
        groups: dict[tuple[Rival, int], list[Pair]] = {}
        declared: dict[str, Schema] = {}
        for run, shadowed in runs:
            if shadowed:
                declared.update((schema.digest, schema) for schema in run.schemas.values())
            for found in self._room(run.writer).take(run, shadowed=shadowed):
                if isinstance(found, Unpaired):
                    self._count_unpaired(found)
                else:
                    rival, pair = found
                    groups.setdefault((rival, pair.shadow.at_us // MINUTE_US), []).append(pair)
        for (rival, minute), pairs in sorted(groups.items(), key=lambda item: item[0]):
            self._add(rival, minute, pairs, span_of(window_s), closed, {**self.schemas, **declared}, references)

    def _room(self, writer: str) -> Room:
        room = self.rooms.get(writer)
        if room is None:
            if len(self.rooms) >= WRITERS_MAX:  # the one that has been silent for longest
                del self.rooms[min(self.rooms, key=lambda name: (self.rooms[name].last_us, name))]
            room = self.rooms[writer] = Room()
        return room

    def _count_unpaired(self, found: Unpaired) -> None:
        known = found in self.unpaired or len(self.unpaired) < 4 * RIVALS_MAX
        self.unpaired[found if known else Unpaired("", "", found.reason)] += 1

    def _add(
        self,
        rival: Rival,
        minute: int,
        pairs: list[Pair],
        span: Span,
        closed: int | None,
        schemas: Mapping[str, Schema],
        references: Mapping[str, Reference],
    ) -> None:
        given, shadow = schemas.get(rival.given_digest), schemas.get(rival.shadow_digest)
        if given is None or shadow is None or (rival not in self.tracks and len(self.tracks) >= RIVALS_MAX):
            self.refused += len(pairs)
            return
        if closed is not None and minute < span.first_minute(closed):
            self.forgotten += len(pairs)
            return
        reference = references.get(given.digest) or Reference.of(given, None)
        counts, worst = count(pairs, Layout.of(reference, given, shadow), reference, (given, shadow))
        track = self.tracks.get(rival)
        if track is None:
            track = self.tracks[rival] = Track(Ring(span), minute)
            self.schemas |= {given.digest: given, shadow.digest: shadow}
        track.add(minute, counts, worst)

    def advance(self, minute: int) -> None:
        """Forgets what left the windows when `minute` was closed, and rivals that are over."""
        for rival, track in list(self.tracks.items()):
            track.advance(minute)
            if track.last_minute + FORGOTTEN_AFTER * track.ring.span.window_minutes <= minute:
                del self.tracks[rival]
        alive = {digest for rival in self.tracks for digest in (rival.given_digest, rival.shadow_digest)}
        for digest in self.schemas.keys() - alive:
            del self.schemas[digest]

    def changes(self) -> Iterable[int]:
        """The minutes whose closing makes something leave."""
        for track in self.tracks.values():
            yield track.last_minute + FORGOTTEN_AFTER * track.ring.span.window_minutes
            if (change := track.ring.next_change()) is not None:
                yield change


def total_of(track: Track, layout: Layout) -> Counts:
    """The window's counts; nothing where they were laid out otherwise."""
    total = track.ring.total
    return total if total is not None and total.size == layout.size else np.zeros(layout.size, dtype=np.int64)
