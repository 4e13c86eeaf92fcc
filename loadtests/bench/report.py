"""What did the rounds say: medians, spread and ratios of one scenario.

Laws
- A system's figure is the median over rounds; its spread is the smallest and the largest round.
- A ratio is the median of the ratios within each round, so that what slowed a whole round cancels out; a round in which one of
  the two is missing has no ratio.
- A closed-loop round with one refused or broken request is no measurement.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from statistics import median
from typing import NamedTuple

import msgspec


class Measurement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One system in one round. `refused`: answered with a status ≥ 400; `broken`: not answered.

    The fields from `capacity_per_s` on are of an open loop: what a closed loop reached just before, what was offered, what was
    answered 200 (within the deadline where there is one), how late the driver itself was. Latencies are then of what was
    answered 200.
    """

    requests: int
    duration_us: int
    refused: int = 0
    broken: int = 0
    p50_us: float
    p95_us: float
    p99_us: float
    rows: int = 1
    capacity_per_s: float = 0.0
    offered_per_s: float = 0.0
    goodput_per_s: float = 0.0
    late_us_p99: float = 0.0

    @property
    def per_s(self) -> float:
        """Rows a second: requests a second where a request is a row."""
        return self.requests * self.rows * 1e6 / self.duration_us

    @property
    def clean(self) -> bool:
        return self.requests > 0 and not self.refused and not self.broken

    @property
    def goodput_share(self) -> float:
        return self.goodput_per_s / self.capacity_per_s if self.capacity_per_s else 0.0

    @property
    def tail(self) -> float:
        """p99 as a multiple of p50; infinite where nothing was answered, so that it holds no bar."""
        return self.p99_us / self.p50_us if self.p50_us else inf

    @property
    def steady_tail(self) -> float:
        """As `tail`, and infinite where anything was refused or lost: who stands still has an even tail of bad answers."""
        return inf if self.refused or self.broken else self.tail

    @property
    def slowest_ms(self) -> float:
        """p99 of what was answered; infinite where nothing was."""
        return self.p99_us / 1e3 if self.requests else inf


Round = Mapping[str, Measurement]
Figure = Callable[[Measurement], float]


class Spread(NamedTuple):
    """Median and extremes over rounds."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """None of nothing."""
    return Spread(median(values), min(values), max(values)) if values else None


def figures(rounds: Sequence[Round], system: str, figure: Figure) -> Spread | None:
    """One system over the rounds in which it was measured."""
    return spread([figure(measured[system]) for measured in rounds if system in measured])


def times(
    rounds: Sequence[Round], subject: str, others: Sequence[str], figure: Figure = lambda m: m.per_s
) -> Spread | None:
    """How many times the subject's figure is the best of the others'."""
    ratios = []
    for measured in rounds:
        best = max((figure(measured[other]) for other in others if other in measured), default=0.0)
        if subject in measured and best:
            ratios.append(figure(measured[subject]) / best)
    return spread(ratios)
