"""Homes with a log in which something went wrong: one incident, an hour of flapping, a hundred models at once."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from service.featurelog.record import Record
from tests.unit.monitoring.made import START_MINUTE, Model, heartbeat, installed, model, traffic, write_log

ROWS_A_MINUTE = 30
MINUTE_US = 60_000_000
QUICK = {
    "PLUMBLINE_MONITOR_WEBHOOK_TIMEOUT_S": "2",
    "PLUMBLINE_MONITOR_WEBHOOK_RETRY_FIRST_S": "0.1",
    "PLUMBLINE_MONITOR_WEBHOOK_RETRY_LONGEST_S": "0.2",
    "PLUMBLINE_MONITOR_DRIFT_WINDOWS": "60",
    "PLUMBLINE_MONITOR_N_MIN_ROWS": "20",
    "PLUMBLINE_MONITOR_ARCHIVE_INTERVAL_S": "0",
}


def spans(parts: Iterable[tuple[int, float]]) -> list[Record]:
    """Traffic of so many minutes each, with f0 so many times too large."""
    rng, found, start = np.random.default_rng(7), list[Record](), START_MINUTE
    for minutes, scale in parts:
        part = traffic(
            rng,
            minutes=range(start, start + minutes),
            rows_per_minute=ROWS_A_MINUTE,
            floats=1,
            scale=scale,
            rows_per_request=ROWS_A_MINUTE,
        )
        found += part[:-1]
        start += minutes
    return [*found, heartbeat(start * MINUTE_US + 10_000_000)]


def one_incident(home: Path) -> Model:
    """Five good minutes, ten in which a feature is a thousand times too large."""
    made = installed(model(floats=1, rows=2000), home)
    write_log(home, made, spans([(5, 1.0), (10, 1000.0)]))
    return made


def flapping(home: Path) -> Model:
    """An hour of two bad minutes and two good ones in turn."""
    made = installed(model(floats=1, rows=2000), home)
    write_log(home, made, spans([(5, 1.0), *[(2, 1000.0), (2, 1.0)] * 15, (2, 1.0)]))
    return made


def hundred(home: Path, n: int = 100) -> None:
    """So many models, all wrong in the same minutes; one writer each, as so many workers would have."""
    for number in range(n):
        made = installed(model(floats=1, rows=1000, seed=number, name=f"model-{number:03d}"), home)
        write_log(home, made, spans([(2, 1.0), (5, 1000.0)]), writer=f"w{number}")
