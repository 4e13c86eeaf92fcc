"""Homes in which a monitor reads a log that a test has written: nothing serves there, and event time is long ago."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from service.featurelog.record import Feedback, Record
from tests.promises.webhooks.homes import ROWS_A_MINUTE
from tests.unit.monitoring.labels.made import draw, performance
from tests.unit.monitoring.made import (
    MINUTE_US,
    START_MINUTE,
    Model,
    Rows,
    heartbeat,
    installed,
    model,
    request,
    traffic,
    write_log,
)

DAYS = 8  # of one more than a week, from which on row counts are judged
NULL_EVERY = 4
LABELLED = 600
HOUR, DAY = 60, 1440
BEGIN = START_MINUTE // HOUR * HOUR - DAYS * DAY
WAITED_S = 7200  # more than the hour that the archive may be behind


def watched(home: Path) -> Model:
    """A week with 30 rows each hour, then an hour with as many each minute, a thousand times too large and a quarter null."""
    made, rng = installed(model(floats=1, rows=2000), home), np.random.default_rng(3)
    quiet = traffic(
        rng,
        minutes=range(BEGIN, BEGIN + DAYS * DAY, HOUR),
        rows_per_minute=ROWS_A_MINUTE,
        floats=1,
        rows_per_request=ROWS_A_MINUTE,
    )
    return _then(home, made, quiet[:-1], _bad_hour(rng))


def _bad_hour(rng: np.random.Generator) -> list[Record]:
    found: list[Record] = []
    for minute in range(BEGIN + DAYS * DAY, BEGIN + DAYS * DAY + HOUR):
        values = rng.normal(size=(ROWS_A_MINUTE, 1)) * 1000
        values[::NULL_EVERY] = np.nan
        cities = rng.integers(0, 4, ROWS_A_MINUTE)
        found.append(request(minute * MINUTE_US, Rows(values, cities, rng.uniform(size=ROWS_A_MINUTE))))
    return [*found, heartbeat((BEGIN + DAYS * DAY + HOUR + 1) * MINUTE_US)]


def _then(home: Path, made: Model, before: list[Record], after: list[Record]) -> Model:
    """Two segments, and one between them that is missing: its records are lost."""
    write_log(home, made, before)
    write_log(home, made, after, number=2, first_seq=len(before) + 100)
    return made


def labelled(home: Path) -> None:
    """Predictions of another model, and labels that say the opposite of what it promised."""
    bare = model(floats=1, rows=2000, seed=9, name="scored", output="p")
    baseline = msgspec.structs.replace(bare.baseline, performance=performance(5_000))
    contract = msgspec.structs.replace(bare.contract, label="fraud")
    made = installed(replace(bare, baseline=baseline, contract=contract), home)
    rng = np.random.default_rng(4)
    scores, hits = draw(LABELLED, rng)
    records: list[Record] = []
    for number, (score, hit) in enumerate(zip(scores.tolist(), hits.tolist(), strict=True)):
        at_us = (BEGIN + DAYS * DAY) * MINUTE_US + number * 5_000_000
        row = Rows(rng.normal(size=(1, 1)), rng.integers(0, 4, 1), np.array([score]))
        one = request(at_us, row, request_id=f"s{number}")
        records += [
            msgspec.structs.replace(one, model="scored"),
            Feedback(at_us + 1, f"s{number}", 0, 1.0 - hit, at_us + 1),
        ]
    write_log(home, made, [*records, heartbeat((BEGIN + DAYS * DAY + HOUR + 1) * MINUTE_US)], writer="w1")
