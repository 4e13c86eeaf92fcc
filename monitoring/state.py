"""What the monitor remembers: counts by version and arm, alerts, and how far event time has come.

Laws
- Everything is integers, texts and minutes of event time; the state never holds a clock, a path or a record.
- It is bounded: at most `keys_max` versions × arms and `state_bytes_max` of counts; what does not fit is counted in
  `Counters`.
- The state is owned by whoever folds: `fold` changes it in place, because copying megabytes of counts a tick would cost
  more than folding.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from monitoring.alert import Alert
from monitoring.events import Event
from monitoring.explain.book import Samples
from monitoring.judge import Judgement, Window
from monitoring.labels.book import Book as Labels
from monitoring.marks import LogRange, MarkTier
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.segments.learnt import LEARNT_VECTORS, Learnt
from monitoring.series import ENTRIES, Series
from monitoring.shadows.book import Book
from monitoring.tally import OUTCOMES, TRAFFIC_SIZE, Tally, Traffic
from monitoring.tier import SLICES_MAX, Tier
from monitoring.volume.arrivals import Arrivals
from monitoring.window import Ring
from service.featurelog.record import Schema

ARM_SHADOW = "shadow"  # counted and shown, not judged: the same rows are judged where they were answered
COUNT_BYTES = 8
UNTOLD_MAX = 16  # tracebacks that wait to be logged; the counter counts the rest


class Version(NamedTuple):
    """A model version by its bytes; an empty model stands for requests that no version was chosen for."""

    model: str
    version: str
    digest: str


class Key(NamedTuple):
    """What is counted apart."""

    version: Version
    arm: str
    segment: str = ""  # of all rows


UNROUTED = Version("", "", "")


@dataclass(slots=True)
class Track:
    """The counts of one version and arm: the traffic window, the tiers of the drift windows by the minutes of a slice, and
    requests and rows by outcome since the log began.
    """

    traffic: Ring
    drift: dict[int, Tier]
    first_minute: int
    last_minute: int
    expected_size: int = 0
    requests: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(OUTCOMES), dtype=np.int64))
    rows: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(OUTCOMES), dtype=np.int64))

    def account(self, minute: int, tally: Tally) -> None:
        """Adds to the totals, which no window ever forgets."""
        self.last_minute = max(self.last_minute, minute)
        self.requests += tally.traffic[Traffic.REQUESTS : Traffic.ROWS]
        self.rows += tally.traffic[Traffic.ROWS : Traffic.LATENCY]

    def advance(self, minute: int) -> None:
        """Forgets what left the windows when `minute` was closed."""
        self.traffic.advance(minute)
        for tier in self.drift.values():
            tier.advance(minute)

    def next_due(self, after: int) -> int | None:
        """The next minute in which a window that holds something changes; None where none does."""
        minutes = [tier.next_due(after) for tier in self.drift.values()]
        return min((minute for minute in minutes if minute is not None), default=None)

    @property
    def columns_size(self) -> int:
        """Length of the vectors that the tiers hold, or will hold when the first minute is closed."""
        return max((tier.size for tier in self.drift.values()), default=0) or self.expected_size


@dataclass(slots=True)
class Counters:
    """What went another way than into a window in time; all since the log began.

    `late`: records of a minute that was already judged (counted in the windows all the same); `forgotten`: so late that
    their windows were over; `refused`: requests of versions beyond the limits; `malformed`: blocks that contradict
    their schema; `unsegmented`: rows of segments beyond the limits; `nameless`: requests whose schema the log has lost;
    `untold`: incidents whose story failed; `lost`: records lost by reason; `lost_unknown`: holes of unknown size by reason.
    """

    records: int = 0
    late: int = 0
    forgotten: int = 0
    refused: int = 0
    malformed: int = 0
    unsegmented: int = 0
    nameless: int = 0
    feedback: int = 0
    evaluations: int = 0
    untold: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    lost_unknown: Counter[str] = field(default_factory=Counter)


COUNTED = tuple(one.name for one in fields(Counters) if one.type is int)  # those that are one number


class Untold(NamedTuple):
    """A story that failed: of which version's breach, at which minute, and the traceback."""

    version: Version
    minute: int
    why: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What was last found about a version, and at which minute; `windows`: each as it was last due, by its length in s;
    `segments`: those of segments, by segment and length.
    """

    minute: int
    judgement: Judgement
    windows: Mapping[int, Window]
    reference: Reference
    segments: Mapping[tuple[str, int], Window] = field(default_factory=dict)


@dataclass(slots=True)
class State:
    """`closed`: the last minute that was closed, None before the first; `open`: tallies of minutes that are not yet
    closed; `ended`: events of incidents that are over, `untold`: stories that failed, until whoever tells of them takes them.
    They are not stored: a fold from the checkpoint comes upon them again.
    """

    max_at_us: int = 0
    watermark_us: int = 0
    closed: int | None = None
    judge_from: int = 0  # minutes before it fill the windows and are not judged: a replay warms up
    open: dict[int, dict[Key, Tally]] = field(default_factory=dict)
    open_marks: dict[int, LogRange] = field(default_factory=dict)
    tracks: dict[Key, Track] = field(default_factory=dict)
    marks: dict[int, MarkTier] = field(default_factory=dict)
    alerts: dict[Version, Alert] = field(default_factory=dict)
    judged: dict[Version, Judged] = field(default_factory=dict)
    schemas: dict[str, Schema] = field(default_factory=dict)  # by digest: what the tracks' references are laid out from
    counters: Counters = field(default_factory=Counters)
    shadows: Book = field(default_factory=Book)
    samples: Samples = field(default_factory=Samples)
    labels: Labels = field(default_factory=Labels)
    arrivals: Arrivals = field(default_factory=Arrivals)
    series: Series = field(default_factory=Series)
    learnt: dict[tuple[Version, str], Learnt] = field(default_factory=dict)  # by segment: what it is compared with
    ended: list[Event] = field(default_factory=list)
    untold: list[Untold] = field(default_factory=list)

    def take_ended(self) -> list[Event]:
        """The ends that the last folds came upon, oldest first; each is given once."""
        taken, self.ended = self.ended, []
        return taken

    def take_untold(self) -> list[Untold]:
        """The stories that failed in the last folds, oldest first; each is given once."""
        taken, self.untold = self.untold, []
        return taken

    def track(self, key: Key, minute: int, reference: Reference | None, rules: Rules) -> Track | None:
        """The track of a key, made at its first record; None where the limits refuse it."""
        if (known := self.tracks.get(key)) is not None:
            return known
        size = 0 if reference is None else reference.size
        full = not key.segment and sum(not known.segment for known in self.tracks) >= rules.keys_max
        if full or self.reserved_bytes(rules, key.segment, size) > rules.state_bytes_max:
            return None
        drift = {minutes: Tier(minutes) for minutes in rules.tiers_of(key.segment)}
        self.tracks[key] = Track(
            Ring(rules.traffic_span), drift, first_minute=minute, last_minute=minute, expected_size=size
        )
        return self.tracks[key]

    def reserved_bytes(self, rules: Rules, extra_segment: str = "", extra_size: int = 0) -> int:
        """What counts and samples can grow to, with one more key whose vectors have `extra_size` entries."""
        held = [(extra_segment, extra_size), *((key.segment, track.columns_size) for key, track in self.tracks.items())]
        traffic = (rules.traffic_span.slices_max + 1) * TRAFFIC_SIZE + ENTRIES
        entries = 0
        for segment, size in held:
            slices = len(rules.tiers_of(segment)) * (SLICES_MAX + 1)
            entries += (
                (slices + LEARNT_VECTORS) * size if segment else slices * size + traffic
            )  # a segment learns, and has no traffic
        return COUNT_BYTES * entries + self.samples.reserved_bytes() + self.labels.reserved_bytes(rules.label_rows_max)

    def versions_of(self, model: str) -> int:
        """How many versions of a model are being judged."""
        return len({key.version for key in self.tracks if key.version.model == model and key.arm != ARM_SHADOW})
