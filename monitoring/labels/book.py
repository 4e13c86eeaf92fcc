"""Which label belongs to which prediction, over all versions, and what do they say? Groups of records by minute in,
findings out.

Laws
- A label is joined in the minute in which it arrived, after all predictions of that minute; a label that arrives in an
  earlier minute than its prediction was made is `unknown`. Neither chunks nor writers show; as everywhere, a record
  later than `lateness_s` counts with the next minute that is closed.
- received = joined + unknowable + misfit + duplicate + changed + unsampled + unknown: every label counts once.
  `unsampled`: for lack of room its row may have been let go; `unknown`: no prediction with this key waits or is remembered.
- Of the joined ones `uncounted` do not count for the alarm: for lack of room they were let go before they were old enough.
- Bounded: TRACKS_MAX versions, of each the rows of waiting.py; the version that was silent for longest makes room for a
  new one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.task import outcome
from monitoring.labels.ask import Ask
from monitoring.labels.cohorts import SLICES_MAX, slice_bytes
from monitoring.labels.keys import Keys, request_keys, row_keys
from monitoring.labels.rows import NONE, Predicted, Rows, distinct, read
from monitoring.labels.track import HELD, LabelRules, Track
from monitoring.labels.waiting import ROW_BYTES, Waiting
from monitoring.window import MINUTE_S
from service.featurelog.record import Feedback, Request

TRACKS_MAX = 16
FATES = ("joined", "unknowable", "misfit", "duplicate", "changed", "unsampled", "unknown")
COUNTERS = ("received", *FATES, "uncounted", "forgotten_versions")

Floats = npt.NDArray[np.float64]


class Subject(NamedTuple):
    """A version by its bytes; equal to monitoring.state.Version as a tuple."""

    model: str
    version: str
    digest: str


@dataclass(slots=True)
class Open:
    """What a minute that is not closed has brought."""

    rows: dict[Subject, list[Rows]] = field(default_factory=dict)
    unscored: Counter[Subject] = field(default_factory=Counter)
    labels: list[Feedback] = field(default_factory=list)


@dataclass(slots=True)
class Book:
    """Owned and changed by who folds."""

    tracks: dict[Subject, Track] = field(default_factory=dict)
    open: dict[int, Open] = field(default_factory=dict)
    counters: Counter[str] = field(default_factory=Counter)

    def take(
        self,
        minute: int,
        requests: Mapping[Subject, Sequence[Request]],
        labels: Sequence[Feedback],
        asks: Mapping[Subject, Ask],
    ) -> None:
        """Records of a minute that is not closed; `asks`: what is asked of each version's labels, where anything is."""
        found = {subject: read(requests[subject], ask) for subject, ask in asks.items() if subject in requests}
        if not labels and not any(one.unscored or len(one.rows) for one in found.values()):
            return
        held = self.open.setdefault(minute, Open())
        held.labels += labels
        for subject, predicted in found.items():
            self._expect(subject, predicted, asks[subject], minute, held)

    def close(self, minute: int, rules: Mapping[str, LabelRules]) -> set[Subject]:
        """Closes a minute; returns the versions of which something was found; `rules`: by model."""
        opened = self.open.pop(minute, None)
        for subject, track in self.tracks.items():
            track.expire(minute, rules[subject.model])
        if opened is not None:
            for subject in sorted({*opened.rows, *opened.unscored} & self.tracks.keys()):
                rows = distinct(np.concatenate([NONE.rows, *opened.rows.get(subject, ())]))
                self.tracks[subject].predict(minute, rows, opened.unscored[subject])
            if opened.labels:
                self._join(minute, opened.labels)
        touched = {subject for subject, track in self.tracks.items() if track.count(minute, rules[subject.model])}
        self._forget(minute, rules)
        return touched

    def changes(self, rules: Mapping[str, LabelRules]) -> Iterable[int]:
        """The minutes whose closing changes something."""
        yield from self.open
        for subject, track in self.tracks.items():
            if (change := track.next_change(rules[subject.model])) is not None:
                yield change

    def reserved_bytes(self, rows_max: int) -> int:
        """What the held versions can grow to: waiting rows, remembered ones, held ones, and slices of counts and ranks."""
        rows = rows_max * (ROW_BYTES + HELD.itemsize)
        return sum(rows + (SLICES_MAX + 1) * slice_bytes(track.ask) for track in self.tracks.values())

    def _expect(self, subject: Subject, predicted: Predicted, ask: Ask, minute: int, held: Open) -> None:
        track = self.tracks.get(subject)
        if track is None:
            if len(self.tracks) >= TRACKS_MAX:
                del self.tracks[min(self.tracks, key=lambda one: (self.tracks[one].last_minute, one))]
                self.counters["forgotten_versions"] += 1
            track = self.tracks[subject] = Track(ask, Waiting(0), last_minute=minute)
        track.last_minute = max(track.last_minute, minute)
        track.ask_again(ask)
        held.unscored[subject] += predicted.unscored
        if len(predicted.rows):
            held.rows.setdefault(subject, []).append(predicted.rows)

    def _join(self, minute: int, labels: Sequence[Feedback]) -> None:
        order = sorted(labels, key=lambda one: (one.request_id, one.row, one.at_us, one.observed_us, repr(one.label)))
        numbers = np.array([label.row for label in order], dtype=np.int64)
        keys = row_keys(request_keys([label.request_id for label in order]), numbers)
        self.counters["received"] += len(order)
        left = np.ones(len(order), dtype=np.bool_)
        for _, track in sorted(self.tracks.items()):
            left &= ~self._join_to(track, minute, order, keys, left)
        for _, track in sorted(self.tracks.items()):
            left &= ~self._repeated(track, order, keys, left)
        beyond = np.zeros(len(order), dtype=np.bool_)
        for track in self.tracks.values():
            beyond |= track.waiting.beyond(keys)
        self.counters["unsampled"] += int(np.count_nonzero(left & beyond))
        self.counters["unknown"] += int(np.count_nonzero(left & ~beyond))

    def _join_to(
        self, track: Track, minute: int, labels: Sequence[Feedback], keys: Keys, left: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """The first label of each waiting row is joined; says which were."""
        place, there = track.waiting.find(keys)
        there &= left
        first = np.flatnonzero(there)
        first = first[np.sort(np.unique(place[first], return_index=True)[1])]
        taken = np.zeros(len(keys), dtype=np.bool_)
        if not len(first):
            return taken
        taken[first] = True
        values = self._outcomes(track.ask, [labels[number] for number in first.tolist()])
        null = np.array([labels[number].label is None for number in first.tolist()], dtype=np.bool_)
        at_us = np.array([labels[number].at_us for number in first.tolist()], dtype=np.int64)
        misfit = np.isnan(values) & ~null
        self.counters["uncounted"] += track.settle(minute, place[first], values, at_us, misfit)
        self.counters["unknowable"] += int(np.count_nonzero(null))
        self.counters["misfit"] += int(np.count_nonzero(misfit))
        self.counters["joined"] += int(np.count_nonzero(~np.isnan(values)))
        return taken

    def _repeated(
        self, track: Track, labels: Sequence[Feedback], keys: Keys, left: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Labels of rows that had theirs already."""
        before, there = track.waiting.known(keys)
        there &= left
        again = np.flatnonzero(there)
        if len(again):
            now = self._outcomes(track.ask, [labels[number] for number in again.tolist()])
            same = (now == before[again]) | (np.isnan(now) & np.isnan(before[again]))
            self.counters["duplicate"] += int(np.count_nonzero(same))
            self.counters["changed"] += int(np.count_nonzero(~same))
        return there

    @staticmethod
    def _outcomes(ask: Ask, labels: Sequence[Feedback]) -> Floats:
        known: dict[tuple[type, object], float] = {}
        values = np.empty(len(labels))
        for place, one in enumerate(labels):
            key = type(one.label), one.label
            if key not in known:
                value = outcome(ask.task, ask.categories, one.label)
                known[key] = float("nan") if value is None else value
            values[place] = known[key]
        return values

    def _forget(self, minute: int, rules: Mapping[str, LabelRules]) -> None:
        """A version is over when no label of it is waited for and no window holds it."""
        for subject, track in list(self.tracks.items()):
            wait = rules[subject.model].wait_s // MINUTE_S
            if not track.cohorts.slices and track.last_minute + wait <= minute:
                del self.tracks[subject]
