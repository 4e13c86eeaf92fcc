"""How did the traffic of each version and arm go: requests, errors and latency in steps of a minute, ten minutes and an hour.

Laws
- It is bounded: POINTS_MAX points of each length and one open step, of keys that the state counts anyway, forgotten with them.
- A point is of one step and all of its records that came in time; its quantiles are those of all of them together, not means of
  shorter steps'. What comes after its step is in no point.
- Counts and points are replaced, never changed in place: whoever holds some may read them while the fold goes on.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import IntEnum

import msgspec
import numpy as np
import numpy.typing as npt

from monitoring.sketch import quantile
from monitoring.tally import OUTCOMES, TRAFFIC_SIZE, Traffic
from monitoring.vectors import StoredVector, pack, unpack
from service.featurelog.record import Outcome

Counts = npt.NDArray[np.int64]
Line = tuple[str, str, str, str]
"""Model, version, digest, arm."""

POINTS_MAX = {1: 180, 10: 144, 60: 168}  # by the minutes of a step: three hours, a day, a week
QUANTILES = (0.5, 0.95, 0.99)
NEVER = -1  # no step is open


class Of(IntEnum):
    """What stands where in a point; latencies in µs, −1 where nothing was answered."""

    STEP = 0
    REQUESTS = 1
    FAILED = 2
    REJECTED = 3
    ROWS = 4
    P50 = 5
    P95 = 6
    P99 = 7


ENTRIES = sum(POINTS_MAX.values()) * len(Of) + len(POINTS_MAX) * TRAFFIC_SIZE
"""Numbers that one line can hold."""


class StoredSteps(msgspec.Struct, frozen=True, array_like=True):
    """A line's steps of one length as a checkpoint holds them."""

    line: Line
    minutes: int
    points: bytes
    at: int
    open: StoredVector | None


@dataclass(slots=True)
class Steps:
    """Points of one length, oldest first, shape (n, len(Of)), and the counts of the step that is `open`, number `at`."""

    minutes: int
    points: Counts = field(default_factory=lambda: np.zeros((0, len(Of)), dtype=np.int64))
    at: int = NEVER
    open: Counts = field(default_factory=lambda: np.zeros(TRAFFIC_SIZE, dtype=np.int64))

    def add(self, minute: int, counts: Counts) -> None:
        """Adds the traffic of a minute, of which all came in time."""
        step = minute // self.minutes
        if step > self.at:
            self.points = self.known()[-POINTS_MAX[self.minutes] :]
            self.at, self.open = step, np.zeros(TRAFFIC_SIZE, dtype=np.int64)
        if step == self.at:
            self.open = self.open + counts

    def known(self) -> Counts:
        """All points, the open step as far as it came."""
        if self.at == NEVER:
            return self.points
        return np.vstack([self.points, point(self.at, self.open)])


def point(step: int, counts: Counts) -> Counts:
    """What a step's traffic comes to, shape (len(Of),)."""
    by_outcome = dict(zip(OUTCOMES, counts[Traffic.REQUESTS : Traffic.ROWS].tolist(), strict=True))
    latency = [quantile(counts[Traffic.LATENCY :], q) for q in QUANTILES]
    return np.array(
        [
            step,
            sum(by_outcome.values()),
            by_outcome[Outcome.FAILED] + by_outcome[Outcome.SHED],
            by_outcome[Outcome.REJECTED],
            int(counts[Traffic.ROWS : Traffic.LATENCY].sum()),
            *(-1 if us is None else round(us) for us in latency),
        ],
        dtype=np.int64,
    )


@dataclass(slots=True)
class Series:
    """All lines; owned and changed by the fold."""

    lines: dict[Line, dict[int, Steps]] = field(default_factory=dict)

    def take(self, line: Line, minute: int, counts: Counts) -> None:
        """Adds the traffic of a closed minute."""
        held = self.lines.get(line)
        if held is None:
            held = self.lines[line] = {minutes: Steps(minutes) for minutes in POINTS_MAX}
        for steps in held.values():
            steps.add(minute, counts)

    def forget(self, alive: Collection[Line]) -> None:
        """Drops lines that are no longer counted."""
        for line in self.lines.keys() - set(alive):
            del self.lines[line]

    def shown(self, closed: int) -> "Shown":
        """As it stands now, for who reads while the fold goes on."""
        held = {
            line: {minutes: Steps(minutes, one.points, one.at, one.open) for minutes, one in steps.items()}
            for line, steps in self.lines.items()
        }
        return Shown(held, closed)


@dataclass(frozen=True, slots=True)
class Shown:
    """Lines as they stood when the minute `closed` was closed."""

    lines: dict[Line, dict[int, Steps]] = field(default_factory=dict)
    closed: int = 0


def store(series: Series) -> list[StoredSteps]:
    """Them as a value to be written."""
    return [
        StoredSteps(line, minutes, steps.points.tobytes(), steps.at, None if steps.at == NEVER else pack(steps.open))
        for line, held in series.lines.items()
        for minutes, steps in held.items()
    ]


def restore(stored: list[StoredSteps]) -> Series:
    """Them that were written. Raises ValueError."""
    series = Series()
    for held in stored:
        if held.minutes not in POINTS_MAX:
            continue
        points = np.frombuffer(held.points, dtype=np.int64).reshape(-1, len(Of))
        steps = Steps(held.minutes, points[-POINTS_MAX[held.minutes] :])
        if held.open is not None:
            steps.at, steps.open = held.at, unpack(held.open, TRAFFIC_SIZE)
        lines = series.lines.setdefault(held.line, {minutes: Steps(minutes) for minutes in POINTS_MAX})
        lines[held.minutes] = steps
    return series
