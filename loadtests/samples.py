"""What did an open-loop run see? Times of every request, and the figures made of them; decides nothing about sending.

Laws
- Latency counts from the moment a request was due, not from when it was sent: a driver or a pool that is late makes it larger,
  never smaller.
- Every request that was due is in exactly one of: a status, `broken`, `unanswered`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNANSWERED, BROKEN = 0, -1  # in place of a status: no answer by the end; the connection went before it was whole
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999, "max": 1.0}

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Samples:
    """One entry a request, in the order in which they were due; seconds since the run began, NaN for what did not happen."""

    due_s: Times
    sent_s: Times
    ended_s: Times
    status: NDArray[np.int64]
    connections: int  # opened altogether

    @property
    def latency_ms(self) -> Times:
        return (self.ended_s - self.due_s) * 1000

    def between(self, start_s: float, end_s: float) -> "Samples":
        """Those that were due in this time."""
        those = (self.due_s >= start_s) & (self.due_s < end_s)
        return Samples(self.due_s[those], self.sent_s[those], self.ended_s[those], self.status[those], self.connections)


def quantiles_ms(values: Times) -> Mapping[str, float]:
    """Of what happened; nothing where nothing did."""
    there = values[~np.isnan(values)]
    if not there.size:
        return {}
    found = np.quantile(there, list(QUANTILES.values()), method="higher")  # a time that was seen, not one between two
    return {name: round(float(value), 3) for name, value in zip(QUANTILES, found, strict=True)}


def report(samples: Samples, *, seconds: float, deadline_ms: float | None = None) -> dict[str, Any]:
    """The figures of a run that lasted `seconds`; goodput: answers 200, where a deadline is given only those within it."""
    latency_ms, n = samples.latency_ms, samples.due_s.size
    good = samples.status == 200
    if deadline_ms is not None:
        good = good & (latency_ms <= deadline_ms)
    answered = samples.status > UNANSWERED
    by_status = {
        str(status): {
            "n": int((samples.status == status).sum()),
            "latency_ms": quantiles_ms(latency_ms[samples.status == status]),
        }
        for status in sorted(set(samples.status[answered].tolist()))
    }
    return {
        "seconds": round(seconds, 3),
        "due": n,
        "due_per_s": round(n / seconds, 1),
        "answered": int(answered.sum()),
        "broken": int((samples.status == BROKEN).sum()),
        "unanswered": int((samples.status == UNANSWERED).sum()),
        "goodput_per_s": round(float(good.sum()) / seconds, 1),
        "deadline_ms": deadline_ms,
        "by_status": by_status,
        "lateness_ms": quantiles_ms((samples.sent_s - samples.due_s) * 1000),
        "connections": samples.connections,
    }
