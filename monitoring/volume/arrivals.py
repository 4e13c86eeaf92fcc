"""How many rows came for each model, hour by hour of event time?

Laws
- Adding is all that happens to a count: order of records, chunk borders and writers cannot show.
- It is bounded: HISTORY_HOURS counts a model, of models that the state counts anyway; older hours are forgotten.
- A model's versions and arms are one: a rollout is no change of volume. A shadow's rows came once, for the version that
  answered.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

HOUR_MINUTES = 60
HISTORY_HOURS = 29 * 24  # four weeks of hours before the one that is judged, and a day of late ones

Counts = npt.NDArray[np.int64]


class StoredHours(msgspec.Struct, frozen=True, array_like=True):
    """A model's hours as a checkpoint holds them: the first that it was seen in, and the rows by hour."""

    model: str
    since: int
    rows: dict[int, int]


@dataclass(slots=True)
class Hours:
    """`since`: the first hour that the model was seen in, which may have begun before the log did."""

    since: int
    rows: dict[int, int] = field(default_factory=dict)

    def before(self, hour: int, n: int) -> Counts:
        """The rows of the n hours before `hour`, oldest first."""
        return np.array([self.rows.get(at, 0) for at in range(hour - n, hour)], dtype=np.int64)


@dataclass(slots=True)
class Arrivals:
    """All models; owned and changed by the fold."""

    models: dict[str, Hours] = field(default_factory=dict)

    def take(self, model: str, minute: int, rows: int) -> None:
        """Adds rows that came in a minute; what is older than the history is not kept."""
        hour = minute // HOUR_MINUTES
        held = self.models.setdefault(model, Hours(hour))
        newest = max(hour, max(held.rows, default=hour))
        if hour <= newest - HISTORY_HOURS:
            return
        held.since = min(held.since, hour)
        held.rows[hour] = held.rows.get(hour, 0) + rows
        if hour == newest:
            for gone in [at for at in held.rows if at <= newest - HISTORY_HOURS]:
                del held.rows[gone]

    def forget(self, alive: Collection[str]) -> None:
        """Drops models that are no longer counted."""
        for model in self.models.keys() - set(alive):
            del self.models[model]


def store(arrivals: Arrivals) -> list[StoredHours]:
    """Them as a value to be written."""
    return [StoredHours(model, held.since, held.rows) for model, held in arrivals.models.items()]


def restore(stored: list[StoredHours]) -> Arrivals:
    """Them that was written."""
    return Arrivals({held.model: Hours(held.since, dict(held.rows)) for held in stored})
