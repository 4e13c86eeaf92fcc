"""Requests to the demo models, as a test's client sends them."""

from collections.abc import Sequence

import msgspec
import numpy as np

from models.demo.incidents import Incident, apply
from models.demo.simulator import Row, payments, rows

MONDAY_S = 1_767_600_000.0  # 2026-01-05 08:00 UTC, a Monday morning


def payments_rows(seed: int, at_s: Sequence[float], incident: Incident | None = None) -> list[Row]:
    """One payment a time, drawn by the simulator."""
    rng = np.random.default_rng(seed)
    clean = rows(payments(rng, np.asarray(at_s, dtype=np.float64)))
    return clean if incident is None else apply(incident, clean, rng=rng)


def payments_body(n: int = 1, seed: int = 0, at_s: float = MONDAY_S, incident: Incident | None = None) -> bytes:
    """A V1 body of n payments made at one time."""
    return msgspec.json.encode({"instances": payments_rows(seed, [at_s] * n, incident)})
