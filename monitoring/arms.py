"""What is shown of the traffic of a version's arms: rates, errors and latency of the traffic window, and totals."""

from collections.abc import Mapping

import msgspec

from monitoring.rules import Rules
from monitoring.sketch import quantile
from monitoring.state import Key, State, Track, Version
from monitoring.tally import OUTCOMES, Traffic
from monitoring.window import MINUTE_S
from service.featurelog.record import Outcome

QUANTILES = (0.5, 0.95, 0.99)


class ArmStatus(msgspec.Struct, frozen=True):
    """Traffic of one arm: rates and latency of the traffic window, totals since the log began.

    Rates are None while the window holds no closed minute; `error_ratio` is failed and shed of all, `rejected_ratio`
    apart.
    """

    arm: str
    window_s: int
    covered_s: int
    requests_per_s: float | None
    rows_per_s: float | None
    error_ratio: float | None
    rejected_ratio: float | None
    latency_ms_p50: float | None
    latency_ms_p95: float | None
    latency_ms_p99: float | None
    requests: Mapping[str, int]
    rows: Mapping[str, int]


def arms_of(state: State, version: Version, rules: Rules) -> tuple[ArmStatus, ...]:
    """What is shown of each arm of a version."""
    found = sorted(
        ((key, track) for key, track in state.tracks.items() if key.version == version and not key.segment),
        key=lambda named: named[0],
    )
    return tuple(_arm(key, track, state.closed or 0, rules) for key, track in found)


def _arm(key: Key, track: Track, closed: int, rules: Rules) -> ArmStatus:
    covered_s = track.traffic.covered_minutes(closed) * MINUTE_S
    total = track.traffic.total
    rates: dict[str, float | None] = dict.fromkeys(("requests_per_s", "rows_per_s", "error_ratio", "rejected_ratio"))
    latency_us: list[float | None] = [None] * len(QUANTILES)
    if total is not None and covered_s:
        by_outcome = dict(zip(OUTCOMES, total[Traffic.REQUESTS : Traffic.ROWS].tolist(), strict=True))
        requests, rows = sum(by_outcome.values()), int(total[Traffic.ROWS : Traffic.LATENCY].sum())
        failed = by_outcome[Outcome.FAILED] + by_outcome[Outcome.SHED]
        rates = {
            "requests_per_s": requests / covered_s,
            "rows_per_s": rows / covered_s,
            "error_ratio": failed / requests if requests else None,
            "rejected_ratio": by_outcome[Outcome.REJECTED] / requests if requests else None,
        }
        latency_us = [quantile(total[Traffic.LATENCY :], q) for q in QUANTILES]
    p50, p95, p99 = (None if value is None else value / 1000 for value in latency_us)
    return ArmStatus(
        arm=key.arm,
        window_s=rules.traffic_window_s,
        covered_s=covered_s,
        latency_ms_p50=p50,
        latency_ms_p95=p95,
        latency_ms_p99=p99,
        requests=dict(zip((outcome.value for outcome in OUTCOMES), track.requests.tolist(), strict=True)),
        rows=dict(zip((outcome.value for outcome in OUTCOMES), track.rows.tolist(), strict=True)),
        **rates,
    )
