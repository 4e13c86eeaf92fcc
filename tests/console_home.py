"""A home of which the console has much to say: an incident, a canary in a rollout, labels, three hours of traffic."""

import math
from pathlib import Path

import msgspec
import numpy as np

from monitoring.events import stamp
from service.featurelog.record import Feedback, Outcome, Record, Request
from tests.unit.monitoring.made import (
    START_MINUTE,
    Model,
    heartbeat,
    installed,
    model,
    refused,
    request,
    rows,
    write_log,
)

MINUTES, WRONG_FROM = 190, 178
FLOATS = 6
MINUTE_US = 60_000_000
ROWS = 12
SETTINGS = {
    "PLUMBLINE_MONITOR_DRIFT_WINDOWS": "60,300,900,3600,10800",
    "PLUMBLINE_MONITOR_N_MIN_ROWS": "20",
    "PLUMBLINE_MONITOR_ARCHIVE_INTERVAL_S": "0",
    "PLUMBLINE_MONITOR_EXPLAIN_EVENTS": "false",
    "PLUMBLINE_MONITOR_LABELS": '{"payments": {"kind": "number", "output": "score"}}',
    "PLUMBLINE_ADMIN_TOKEN": "admin-token",
}


def busy(home: Path) -> tuple[Model, Model]:
    """Versions 1 and 2 of `payments`; from WRONG_FROM on f0 arrives a thousand times too large."""
    stable = installed(model(floats=FLOATS, rows=4000), home)
    canary = installed(model(floats=FLOATS, rows=4000, seed=2, version="2"), home)
    rng = np.random.default_rng(3)
    write_log(home, stable, _traffic(rng, "stable", 3, slow=1.0))
    write_log(home, canary, _traffic(rng, "canary", 1, slow=1.6), writer="w1")
    (home / "rollouts").mkdir()
    (home / "rollouts" / "payments.toml").write_text(f'version = "2"\nsince = {stamp(START_MINUTE)}\n')
    return stable, canary


def _traffic(rng: np.random.Generator, arm: str, requests: int, *, slow: float) -> list[Record]:
    found: list[Record] = []
    for number in range(MINUTES):
        minute = START_MINUTE + number
        for place in range(requests + round(requests * math.sin(number / 25))):
            found += _asked(rng, arm, minute * MINUTE_US + place * 5_000_000, number, slow)
        if number % 17 == 3:
            found.append(refused(minute * MINUTE_US + 50_000_000, Outcome.FAILED, arm=arm))
    return [*found, heartbeat((START_MINUTE + MINUTES) * MINUTE_US + 10_000_000)]


def _asked(rng: np.random.Generator, arm: str, at_us: int, number: int, slow: float) -> list[Record]:
    """A request, and after ten minutes of the log's hours the labels of its rows."""
    data = rows(ROWS, rng, FLOATS)
    if number >= WRONG_FROM:
        data.floats[:, 0] *= 1000
    name = f"{arm}-{at_us}"
    total_us = int(slow * rng.lognormal(8.5 + 0.2 * math.sin(number / 20), 0.35))
    asked = request(at_us, data, request_id=name, arm=arm, total_us=total_us)
    assert isinstance(asked, Request)
    labels = [
        Feedback(at_us + 1_000_000, name, row, float(score + 0.1 * rng.normal()), at_us + 1_000_000)
        for row, score in enumerate(data.scores)
    ]
    return [msgspec.structs.replace(asked, generation=2), *labels]
