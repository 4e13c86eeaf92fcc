"""What is the data like on which all are compared: each question a file of streams (`targets/scenario.py` says how).

Laws
- A scenario is a function of its name and a seed; the demo simulator and its named incidents make it, or a table of real rows.
- Every system gets the same reference, the same rows and no hint of where anything happens.
- A row whose column is missing is refused by a service: our monitor gets a rejected request, the others a null.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.demo.incidents import INCIDENTS, Incident, apply
from models.demo.seasons import DAY_S, HOUR_S, arrivals
from models.demo.simulator import CATEGORICAL, CHANNELS, COUNTRIES, FEATURES, MERCHANTS, Payments, Row, payments, rows

Cells = npt.NDArray[np.float64]

START_S = 1_767_571_200.0  # Monday 2026-01-05 00:00 UTC
REFERENCE_DAYS = 28  # before it: every season four times
REFERENCE_ROWS_PER_MINUTE = 10.0
CHUNK_ROWS = 1000
CATEGORIES = {"merchant_category": tuple(MERCHANTS), "country": tuple(COUNTRIES), "channel": CHANNELS}
WHOLE = ("account_age_days", "payments_last_24h")

INCIDENT_RATE = 10.0  # rows a minute, mean over a week
BEFORE_S, AFTER_S = 6 * HOUR_S, 12 * HOUR_S
SIZES: dict[Incident, tuple[float, ...]] = {  # the first is the incident's own
    Incident.MEAN_SHIFT: (0.5, 0.25, 1.0),
    Incident.UNIT_X1000: (1.0, 0.1, 0.01),
    Incident.NULL_BURST: (0.4, 0.2, 0.05),
    Incident.NEW_CATEGORY: (0.3, 0.05, 0.02),
    Incident.COLUMNS_SWAPPED: (1.0, 0.3, 0.1),
    Incident.COLUMN_FROZEN: (1.0, 0.3, 0.1),
    Incident.COLUMN_MISSING: (1.0, 0.1, 0.02),
}


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Rows of one trial: cells (n, k), times (n,), and what is true of it; `onset` is the row with which the change begins."""

    cells: Cells
    at_s: Cells
    rejected: npt.NDArray[np.bool_]
    about: str
    onset: int | None = None

    @property
    def days(self) -> float:
        return float(self.at_s[-1] - self.at_s[0]) / DAY_S if len(self.at_s) else 0.0


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """`columns`: name, kind and categories; `missing`: the column that rejected rows lack."""

    name: str
    columns: Sequence[dict[str, Any]]
    reference: Cells
    reference_at_s: Cells
    streams: Sequence[Stream] = field(default_factory=list)
    chunk_rows: int = CHUNK_ROWS
    missing: str = ""

    def write(self, path: Path) -> None:
        """As targets read it."""
        meta = {"columns": list(self.columns), "chunk_rows": self.chunk_rows, "missing": self.missing}
        np.savez(
            path,
            meta=json.dumps(meta),
            reference=self.reference,
            reference_at_s=self.reference_at_s,
            rows=np.concatenate([stream.cells for stream in self.streams]),
            at_s=np.concatenate([stream.at_s for stream in self.streams]),
            rejected=np.concatenate([stream.rejected for stream in self.streams]),
            borders=np.cumsum([0, *(len(stream.at_s) for stream in self.streams)]),
        )


def unchanged(rate: float, days: float, months: int, seed: int) -> Scenario:
    """(a) Payments with their daily and weekly seasons, and nothing that happens."""
    streams = [
        _plain(*_paid(np.random.default_rng([seed, month]), START_S, days, rate), f"{rate:g} rows/min")
        for month in range(months)
    ]
    return _of_payments(f"unchanged, {rate:g} rows/min", streams, seed)


def incidents(trials: int, seed: int) -> Scenario:
    """(b) Every named incident at every size; the incidents' own sizes of the first trial come first."""
    cells = [
        (incident, size) for place in range(3) for incident, sizes in SIZES.items() for size in sizes[place : place + 1]
    ]
    streams = [
        _damaged(incident, size, [seed, trial, place])
        for trial in range(trials)
        for place, (incident, size) in enumerate(cells)
    ]
    return _of_payments("incidents", streams, seed)


def rides(path: Path, *, shuffled: bool, seed: int) -> Scenario:
    """(c) Bike-sharing, an hour a row: 2011 is the reference and 2012 the stream; shuffled, the two are alike."""
    table = pd.read_csv(path)
    texts, wholes = ["season", "weathersit"], ["hr", "holiday", "weekday", "workingday", "cnt"]
    names = [*texts, *wholes, "temp", "atemp", "hum", "windspeed"]
    columns = [
        _column(name, sorted(map(str, table[name].unique())) if name in texts else None, name in wholes)
        for name in names
    ]
    parts = [
        table[name].map({int(text): code for code, text in enumerate(column["categories"])})
        if name in texts
        else table[name]
        for name, column in zip(names, columns, strict=True)
    ]
    cells = np.stack([part.to_numpy(np.float64) for part in parts], axis=1)
    at_s: Cells = START_S + np.arange(len(table), dtype=np.float64) * HOUR_S
    first = int((table["yr"] == 0).sum())
    if shuffled:
        cells = cells[np.random.default_rng(seed).permutation(len(cells))]
    return Scenario(
        name="bike-sharing, shuffled" if shuffled else "bike-sharing, 2011 → 2012",
        columns=columns,
        reference=cells[:first],
        reference_at_s=at_s[:first],
        streams=[_plain(cells[first:], at_s[first:], "2012" if not shuffled else "shuffled")],
        chunk_rows=7 * 24,
    )


def losses(reference: Cells, trials: Cells, onset: int) -> Scenario:
    """(d) The loss of a model on a concept that changes at `onset`; reference (m,), trials (t, n). A row a second."""
    n = trials.shape[1]
    streams = [
        Stream(
            cells=one[:, None],
            at_s=START_S + np.arange(n, dtype=np.float64),
            rejected=np.zeros(n, bool),
            about="loss",
            onset=onset,
        )
        for one in trials
    ]
    return Scenario(
        name="FriedmanDrift, loss",
        columns=[_column("loss", None, whole=False)],
        reference=reference[:, None],
        reference_at_s=START_S - len(reference) + np.arange(len(reference), dtype=np.float64),
        streams=streams,
        chunk_rows=n // 10,  # NannyML's default: ten chunks of what is analysed
    )


def _of_payments(name: str, streams: Sequence[Stream], seed: int) -> Scenario:
    start_s = START_S - REFERENCE_DAYS * DAY_S
    reference, at_s = _paid(
        np.random.default_rng([seed, 1_000_000]), start_s, REFERENCE_DAYS, REFERENCE_ROWS_PER_MINUTE
    )
    columns = [_column(name, CATEGORIES.get(name), name in WHOLE) for name in FEATURES]
    return Scenario(
        name=name, columns=columns, reference=reference, reference_at_s=at_s, streams=streams, missing="country"
    )


def _column(name: str, categories: Sequence[str] | None, whole: bool) -> dict[str, Any]:
    kind = "string" if categories is not None else "int" if whole else "float"
    return {"name": name, "kind": kind, "categories": list(categories or ())}


def _plain(cells: Cells, at_s: Cells, about: str) -> Stream:
    return Stream(cells=cells, at_s=at_s, rejected=np.zeros(len(at_s), bool), about=about)


def _paid(rng: np.random.Generator, start_s: float, days: float, rate: float) -> tuple[Cells, Cells]:
    at_s = arrivals(rng, start_s, start_s + days * DAY_S, rate)
    return _cells(payments(rng, at_s)), at_s


def _cells(batch: Payments) -> Cells:
    parts = []
    for name, values in batch.features().items():
        if name in CATEGORICAL:
            order = np.argsort(CATEGORIES[name])
            sorted_names = np.array(CATEGORIES[name])[order]
            parts.append(order[np.searchsorted(sorted_names, values)].astype(np.float64))
        else:
            parts.append(values.astype(np.float64))
    return np.stack(parts, axis=1)


def _damaged(incident: Incident, size: float, seed: Sequence[int]) -> Stream:
    rng = np.random.default_rng(list(seed))
    start_s = START_S + float(rng.integers(0, 7 * 24)) * HOUR_S
    at_s = arrivals(rng, start_s, start_s + BEFORE_S + AFTER_S, INCIDENT_RATE)
    batch = payments(rng, at_s)
    cells, onset = _cells(batch), int(np.searchsorted(at_s, start_s + BEFORE_S))
    hurt = apply(incident, rows(batch)[onset:], rng=rng, size=size)
    touched = INCIDENTS[incident].columns
    for place, name in enumerate(FEATURES):
        if name in touched:
            cells[onset:, place] = [_cell(row, name) for row in hurt]
    rejected = np.zeros(len(at_s), bool)
    if incident is Incident.COLUMN_MISSING:
        rejected[onset:] = np.isnan(cells[onset:, FEATURES.index("country")])
    return Stream(cells=cells, at_s=at_s, rejected=rejected, about=f"{incident.value} {size:g}", onset=onset)


def _cell(row: Row, name: str) -> float:
    value = row.get(name)
    if value is None:
        return np.nan
    if name in CATEGORICAL:
        return float(CATEGORIES[name].index(str(value))) if value in CATEGORIES[name] else -1.0
    return float(value)
