"""What the demo incidents look like to the committed baseline, by the rule that the tolerances are made for.

Drifted: the 95 % lower bound of λ for the G of a window, in PSI, is above max(0.01, natural tolerance of the window's length).
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ncx2

from models.baseline import Baseline, ColumnBaseline, Special, bin_codes, bin_numbers, category_codes
from models.contract import Column, Contract, Kind, Tensor
from models.demo.incidents import INCIDENTS, Incident, apply
from models.demo.seasons import DAY_S, HOUR_S, WEEK_S, arrivals
from models.demo.simulator import Row, payments, rows
from models.natural import noise_corrected_psi
from models.session import Session

pytestmark = pytest.mark.simulation

FOLDER = Path(__file__).parents[3] / "models" / "demo" / "artefacts" / "payments" / "1"
CONTRACT = Contract.decode((FOLDER / "contract.json").read_bytes())
BASELINE = Baseline.decode((FOLDER / "baseline.json").read_bytes())
AFTER_TRAINING_S = 1_780_272_000 + 4 * WEEK_S
TOLERANCE_FLOOR = 0.01
ROWS_MIN = 100

Binned = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def graph() -> Session:
    return Session((FOLDER / "model.onnx").read_bytes(), ref="payments:1")


def traffic(days: float) -> tuple[np.ndarray, list[Row]]:
    """Seconds since the training month ended, and rows, at 30 rows a minute."""
    rng = np.random.default_rng(77)
    batch = payments(rng, arrivals(rng, AFTER_TRAINING_S, AFTER_TRAINING_S + days * DAY_S, 30))
    return batch.at_s - AFTER_TRAINING_S, rows(batch)


def binned(graph: Session, of: list[Row]) -> Binned:
    """Bin of every row in every column of the baseline."""
    found = {
        column.name: _feature(column, ref, of) for column, ref in zip(CONTRACT.features, BASELINE.features, strict=True)
    }
    answers = graph.run({tensor.name: _tensor(tensor, of) for tensor in CONTRACT.inputs})
    cells = np.column_stack([answer.astype(np.float64) for answer in answers])
    return found | {ref.name: bin_numbers(ref, cells[:, i]) for i, ref in enumerate(BASELINE.outputs)}


def _feature(column: Column, reference: ColumnBaseline, of: list[Row]) -> np.ndarray:
    cells = [row.get(column.name) for row in of]
    null = np.array([cell is None for cell in cells])
    if column.kind is Kind.STRING:
        known = category_codes(column.categories)
        index = bin_codes(np.array([known.get(str(cell), -1) for cell in cells]), null)
    else:
        index = bin_numbers(reference, np.array(cells, dtype=np.float64), null)
    index[[column.name not in row for row in of]] = Special.ABSENT
    return index


def _tensor(tensor: Tensor, of: list[Row]) -> np.ndarray:
    if tensor.datatype == "BYTES":
        return np.array([[row.get(name) or "" for name in tensor.columns] for row in of], dtype=object)
    return np.array([[row.get(name) for name in tensor.columns] for row in of], dtype=np.float32)


def worst(index: Binned, at_s: np.ndarray, length_s: int, every_s: int) -> dict[str, float]:
    """The largest lower bound of any window of this length, in units of the tolerance, by column; 0 where none is near."""
    starts = np.arange(0, at_s[-1] - length_s + every_s, every_s)
    spans = [np.searchsorted(at_s, (start, start + length_s)) for start in starts]
    spans = [(a, b) for a, b in spans if b - a >= ROWS_MIN]
    return {
        ref.name: _worst_of(ref, index[ref.name], spans, length_s) for ref in (*BASELINE.features, *BASELINE.outputs)
    }


def _worst_of(ref: ColumnBaseline, index: np.ndarray, spans: list[tuple[int, int]], length_s: int) -> float:
    limit = max(TOLERANCE_FLOOR, dict(ref.natural)[length_s])
    windows = np.array([np.bincount(index[a:b], minlength=ref.bins) for a, b in spans])
    reference = np.array(ref.counts)
    effects = noise_corrected_psi(windows, reference)
    top = int(effects.argmax())
    if effects[top] < limit / 2:
        return 0.0
    n, m = windows[top].sum(), reference.sum()
    df = int((windows[top] + reference > 0).sum()) - 1
    g = effects[top] * n * m / (n + m) + df
    return float(_lambda_at(g, df) * (n + m) / (n * m) / limit)


def _lambda_at(g: float, df: int) -> float:
    """The λ at which a G this large would come in 5 % of the windows."""
    low, high = 0.0, 2 * g
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if ncx2.sf(g, df, middle) < 0.05 else (low, middle)
    return low


def test_the_week_after_training_stays_within_tolerance(graph: Session) -> None:
    at_s, of = traffic(7)
    index = binned(graph, of)
    for length_s, every_s in ((HOUR_S, HOUR_S), (DAY_S, 6 * HOUR_S)):
        found = worst(index, at_s, length_s, every_s)
        assert max(found.values()) < 1, found


@pytest.mark.parametrize("since_days", [0, 21])
def test_a_slow_season_stays_within_tolerance(graph: Session, since_days: int) -> None:
    at_s, of = traffic(7)
    rng = np.random.default_rng(1)
    hours = (at_s // HOUR_S).astype(int)
    cuts = np.searchsorted(hours, np.arange(hours[-1] + 2))
    seasonal = [
        row
        for hour, (a, b) in enumerate(pairwise(cuts))
        for row in apply(Incident.SEASONAL_CHANGE, of[a:b], rng=rng, size=since_days + hour / 24)
    ]
    index = binned(graph, seasonal)
    for length_s, every_s in ((HOUR_S, HOUR_S), (DAY_S, 6 * HOUR_S)):
        found = worst(index, at_s, length_s, every_s)
        assert max(found.values()) < 1, found


@pytest.mark.parametrize("incident", [incident for incident in Incident if incident is not Incident.SEASONAL_CHANGE])
def test_an_incident_moves_every_column_that_it_touches_far_beyond_tolerance(
    graph: Session, incident: Incident
) -> None:
    at_s, of = traffic(1.1)
    index = binned(graph, apply(incident, of, rng=np.random.default_rng(1)))
    for length_s in (HOUR_S, DAY_S):
        found = worst(index, at_s, length_s, length_s)
        assert all(found[name] > 5 for name in INCIDENTS[incident].columns), found
