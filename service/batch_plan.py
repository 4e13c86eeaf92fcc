"""Inline or in a thread? Decided from the measured cost of earlier runs.

Law: the estimate for n rows is never negative and rises with n.
"""

from dataclasses import dataclass

_WEIGHT = 0.05  # of a new measurement: about the last 20 runs count


@dataclass(slots=True)
class Cost:
    """What a run of one version costs: a moving average of µs a row, with the overhead of small runs inside it."""

    per_row_us: float = 0.0

    def learn(self, rows: int, took_us: float) -> None:
        """One more measured run."""
        measured = took_us / rows
        self.per_row_us = measured if self.per_row_us == 0 else self.per_row_us + _WEIGHT * (measured - self.per_row_us)

    def estimate_us(self, rows: int) -> float:
        """Expected duration of a run of so many rows; 0 before anything was measured."""
        return self.per_row_us * rows
