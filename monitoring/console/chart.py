"""What does the page draw of a series: lines of a model's versions, or of all models, over one of a few ranges?

Laws
- All lines share one grid of steps up to the newest closed minute. A step without a request is 0 requests and no latency.
- At most LINES_MAX lines, those with the most requests of the range; how many are left out is said.
- What named no model that is routed (UNROUTED) is nobody's traffic and in no line.
- Of several arms requests and errors add up, which quantiles do not: the slowest arm's is shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from monitoring.series import Line, Of, Shown
from monitoring.state import ARM_SHADOW, UNROUTED
from monitoring.window import MINUTE_S

LINES_MAX = 6
RANGES = {"30m": (1, 30), "3h": (1, 180), "24h": (10, 144), "7d": (60, 168)}
"""By name: minutes of a step, steps."""


class Drawn(msgspec.Struct, frozen=True):
    """One line; lists as long as the grid, None where nothing is known, latencies in ms."""

    model: str
    version: str
    arm: str
    requests: int
    requests_per_s: tuple[float, ...]
    error_ratio: tuple[float | None, ...]
    latency_ms_p50: tuple[float | None, ...]
    latency_ms_p95: tuple[float | None, ...]
    latency_ms_p99: tuple[float | None, ...]


class Chart(msgspec.Struct, frozen=True):
    """`at_s`: the beginning of each step, seconds since the Unix epoch; `until_s`: the end of the newest closed minute, within
    the last step or at its end; `since_s`: of the oldest point of the range, if any.
    """

    range: str
    step_s: int
    at_s: tuple[int, ...]
    until_s: int
    since_s: int | None
    lines: tuple[Drawn, ...]
    left_out: int


@dataclass(slots=True)
class _Sums:
    """Of one line by step: requests, failed, and the three quantiles in µs."""

    requests: dict[int, int] = field(default_factory=dict)
    failed: dict[int, int] = field(default_factory=dict)
    latency: tuple[dict[int, int], ...] = field(default_factory=lambda: ({}, {}, {}))

    def add(self, point: list[int]) -> None:
        step = point[Of.STEP]
        self.requests[step] = self.requests.get(step, 0) + point[Of.REQUESTS]
        self.failed[step] = self.failed.get(step, 0) + point[Of.FAILED]
        for held, us in zip(self.latency, point[Of.P50 :], strict=True):
            if us >= 0:
                held[step] = max(us, held.get(step, 0))


def chart_of(shown: Shown, model: str, name: str) -> Chart:
    """The lines of a model by version and arm; of all models, one each, where none is named. Raises KeyError: no such range."""
    minutes, n = RANGES[name]
    newest = shown.closed // minutes
    grid = range(newest - n + 1, newest + 1)
    sums: dict[tuple[str, str, str], _Sums] = {}
    for line, held in shown.lines.items():
        if line[3] == ARM_SHADOW or line[0] == UNROUTED.model or (model and line[0] != model):
            continue
        into = sums.setdefault(_named(line, by_version=bool(model)), _Sums())
        for point in held[minutes].known().tolist():
            if point[Of.STEP] in grid:
                into.add(point)
    drawn = [_drawn(key, one, grid, minutes, shown.closed) for key, one in sums.items() if one.requests]
    drawn.sort(key=lambda one: (-one.requests, one.model, one.version, one.arm))
    oldest = min((step for one in sums.values() for step in one.requests), default=None)
    return Chart(
        range=name,
        step_s=minutes * MINUTE_S,
        at_s=tuple(step * minutes * MINUTE_S for step in grid),
        until_s=(shown.closed + 1) * MINUTE_S,
        since_s=None if oldest is None else oldest * minutes * MINUTE_S,
        lines=tuple(drawn[:LINES_MAX]),
        left_out=max(0, len(drawn) - LINES_MAX),
    )


def _named(line: Line, *, by_version: bool) -> tuple[str, str, str]:
    model, version, _, arm = line
    return (model, version, arm) if by_version else (model, "", "")


def _drawn(key: tuple[str, str, str], one: _Sums, grid: range, minutes: int, closed: int) -> Drawn:
    def seconds(step: int) -> int:
        """Of a step, as far as it came."""
        return max(1, min(minutes, closed + 1 - step * minutes)) * MINUTE_S

    p50, p95, p99 = (_ms(held, grid) for held in one.latency)
    return Drawn(
        *key,
        requests=sum(one.requests.values()),
        requests_per_s=tuple(_short(one.requests.get(step, 0) / seconds(step)) for step in grid),
        error_ratio=tuple(
            _short(one.failed[step] / one.requests[step]) if one.requests.get(step) else None for step in grid
        ),
        latency_ms_p50=p50,
        latency_ms_p95=p95,
        latency_ms_p99=p99,
    )


def _ms(held: Mapping[int, int], grid: range) -> tuple[float | None, ...]:
    return tuple(_short(held[step] / 1000) if step in held else None for step in grid)


def _short(value: float) -> float:
    """Four digits: a chart shows no more, and it is half of the bytes."""
    return float(f"{value:.4g}")
