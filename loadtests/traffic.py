"""What do the clients of the demo models send: bodies of each protocol, drawn from the simulators.

Laws
- The same generator state, times and incident give the same bodies.
- An incident changes payments only while it lasts, and it changes what is sent, never how answers are judged, but for the one
  that a strict contract must refuse (`REFUSED`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.demo.incidents import Incident, apply
from models.demo.simulator import CATEGORICAL, Row, payments, rows
from models.demo.tumours import Tumours, sample

REFUSED = frozenset({Incident.COLUMN_MISSING})  # a feature is absent: 400 is the right answer
INTEGERS = frozenset({"customer_age", "account_age_days", "payments_last_24h"})

Body = dict[str, object]


@dataclass(frozen=True, slots=True)
class Trouble:
    """An incident that begins `after_s` seconds into the run and lasts to its end; `size` None is the incident's own."""

    incident: Incident
    after_s: float = 0.0
    size: float | None = None

    def lasts(self, elapsed_s: float) -> bool:
        return elapsed_s >= self.after_s


@dataclass(frozen=True, slots=True)
class Paid:
    """Rows on their way to the payments model; `fraud` is what becomes known of each later."""

    rows: list[Row]
    fraud: list[bool]
    refused: bool


class PaymentsSource:
    """Payments as they come in; `now_s` since the Unix epoch decides the season, `elapsed_s` the incident."""

    def __init__(self, rng: np.random.Generator, trouble: Trouble | None) -> None:
        self._rng = rng
        self._trouble = trouble

    def take(self, n: int, *, now_s: float, elapsed_s: float) -> Paid:
        """The next n payments."""
        batch = payments(self._rng, np.full(n, now_s))
        clean, fraud = rows(batch), batch.fraud.tolist()
        trouble = self._trouble
        if trouble is None or not trouble.lasts(elapsed_s):
            return Paid(clean, fraud, refused=False)
        sent = apply(trouble.incident, clean, rng=self._rng, size=trouble.size)
        complete = all(row.keys() == was.keys() for row, was in zip(sent, clean, strict=True))
        return Paid(sent, fraud, refused=trouble.incident in REFUSED and not complete)


def tumour_cells(rng: np.random.Generator, known: Tumours, n: int) -> npt.NDArray[np.float64]:
    """n rows of measurements, shape (n, 30)."""
    return sample(rng, known, n).cells


def v1(instances: Sequence[object]) -> Body:
    """Rows as objects by feature name or as lists in contract order."""
    return {"instances": list(instances)}


def v2_columns(batch: Sequence[Row]) -> Body:
    """One input a column, each of shape (n, 1); a column that a row lacks is not sent."""
    names = [name for name in batch[0] if all(name in row for row in batch)]
    return {"inputs": [_column(name, [row[name] for row in batch]) for name in names]}


def v2_matrix(name: str, cells: npt.NDArray[np.float64]) -> Body:
    """One input that holds all features side by side, flattened row after row."""
    return {
        "inputs": [{"name": name, "datatype": "FP32", "shape": list(cells.shape), "data": cells.reshape(-1).tolist()}]
    }


def _column(name: str, cells: list[object]) -> Body:
    datatype = "BYTES" if name in CATEGORICAL else "INT64" if name in INTEGERS else "FP64"
    return {"name": name, "datatype": datatype, "shape": [len(cells), 1], "data": cells}


def user_seeds(seed: int | Sequence[int]) -> Iterator[np.random.Generator]:
    """One independent generator a user, the same ones for the same seed; a seed of several numbers is one for each process."""
    sequence = np.random.SeedSequence(seed)
    while True:
        yield np.random.default_rng(sequence.spawn(1)[0])
