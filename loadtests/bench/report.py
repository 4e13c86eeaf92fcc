"""What did the rounds say: medians, spread and ratios, as a table for people.

Laws
- A system's figure is the median over rounds; its spread is the smallest and the largest round.
- A ratio is the median of the ratios within each round, so that what slowed a whole round cancels out.
- A round with one refused or broken request is no measurement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One system in one round. `refused`: answered with a status ≥ 400; `broken`: not answered."""

    requests: int
    duration_us: int
    refused: int
    broken: int
    p50_us: int
    p99_us: int

    @property
    def requests_per_s(self) -> float:
        return self.requests * 1e6 / self.duration_us

    @property
    def clean(self) -> bool:
        return self.requests > 0 and not self.refused and not self.broken


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One system over all rounds; `times`: how many times faster the subject is."""

    name: str
    requests_per_s: float
    requests_per_s_min: float
    requests_per_s_max: float
    p50_ms: float
    p99_ms: float
    times: float
    times_min: float
    times_max: float


def summarise(rounds: Sequence[Mapping[str, Measurement]], subject: str) -> list[Line]:
    """One line a system, in the order of the first round."""
    return [_line(name, rounds, subject) for name in rounds[0]]


def _line(name: str, rounds: Sequence[Mapping[str, Measurement]], subject: str) -> Line:
    rates = [measured[name].requests_per_s for measured in rounds]
    times = [measured[subject].requests_per_s / measured[name].requests_per_s for measured in rounds]
    return Line(
        name=name,
        requests_per_s=median(rates),
        requests_per_s_min=min(rates),
        requests_per_s_max=max(rates),
        p50_ms=median(measured[name].p50_us for measured in rounds) / 1e3,
        p99_ms=median(measured[name].p99_us for measured in rounds) / 1e3,
        times=median(times),
        times_min=min(times),
        times_max=max(times),
    )


def table(lines: Sequence[Line], notes: Mapping[str, str]) -> str:
    """A Markdown table."""
    head = (
        "| system | requests/s | min–max | p50 ms | p99 ms | plumbline is | min–max | what runs |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    return head + "".join(_row(line, notes[line.name]) for line in lines)


def _row(line: Line, note: str) -> str:
    return (
        f"| {line.name} | {line.requests_per_s:,.0f} | {line.requests_per_s_min:,.0f}–{line.requests_per_s_max:,.0f} "
        f"| {line.p50_ms:.2f} | {line.p99_ms:.2f} | {line.times:.2f} × | {line.times_min:.2f}–{line.times_max:.2f} "
        f"| {note} |\n"
    )
