import json

import numpy as np
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http
from cloudevents.core.formats.json import JSONFormat

from models.baseline import SPECIALS, ColumnBaseline
from models.contract import Kind
from monitoring.alert import Standing
from monitoring.events import BODY_BYTES_MAX, TYPE, Incident, request_retrain
from monitoring.judge import Window, judge
from monitoring.reference import Extra, Reference
from monitoring.rules import Rules
from monitoring.tier import Scale
from tests.unit.monitoring.made import START_MINUTE

RULES = Rules(drift_windows_s=(3600,))


def wide(columns: int, categories: int, name: str, text: str) -> Reference:
    made = tuple(
        ColumnBaseline(
            name=f"{name}{j}",
            kind=Kind.STRING,
            categories=tuple(f"{text}{i}" for i in range(categories)),
            counts=(*[0] * SPECIALS, *[100] * categories),
        )
        for j in range(columns)
    )
    return Reference.laid_out(made)


def incident(columns: int = 3, categories: int = 8, name: str = "c", text: str = "v", writers: int = 2) -> Incident:
    """Every column drifted: all rows in its first two categories."""
    reference = wide(columns, categories, name, text)
    counts = np.zeros(reference.size, dtype=np.int64)
    for j in range(columns):
        counts[reference.starts[j] + SPECIALS + j % 2] = 900 + j
        counts[reference.starts[j] + SPECIALS + 2] = 100
    counts[reference.starts[-1] + Extra.ROWS_ANSWERED] = 1000
    judged = judge(
        reference, [Window(Scale.of(3600), 1800, counts)], RULES, model="payments", versions=1, latched=frozenset()
    )
    assert judged.standing is Standing.BREACH
    return Incident(
        model="payments",
        version="7",
        digest="sha256:" + "a" * 64,
        began_minute=START_MINUTE,
        judged_minute=START_MINUTE + 1,
        first_minute=START_MINUTE - 58,
        last_minute=START_MINUTE + 1,
        covered_s=1800,
        counts=counts,
        arms={"stable": counts},
        breaching=judged.breaching,
        log_range={f"w{i}": ((1, 10**9), (12, 10**12)) for i in range(writers)},
        reference=reference,
    )


def test_the_body_is_a_cloud_event_that_others_can_read() -> None:
    event = request_retrain(incident())
    read = from_http(HTTPMessage({"content-type": "application/cloudevents+json"}, event.body), JSONFormat())
    assert read.get_id() == event.id
    assert read.get_type() == TYPE
    assert read.get_subject() == "payments:7"
    assert read.get_time() is not None
    assert read.get_time().timestamp() == (START_MINUTE + 2) * 60


def test_the_evidence_names_the_column_the_numbers_the_window_the_log_and_the_replay() -> None:
    data = json.loads(request_retrain(incident()).body)["data"]
    assert data["feature"] == "c2"
    assert data["check"] == "drift"
    assert data["effect"] >= data["lower_bound"] > data["tolerance"]
    assert data["p_value"] < 1e-6
    assert data["n"] == data["window"]["rows"] == 1002
    assert data["window"]["seconds"] == 3600
    assert (data["window"]["from"], data["window"]["to"]) == ("2025-02-19T20:52:00Z", "2025-02-19T21:22:00Z")
    assert data["histograms"]["labels"] == [f"v{i}" for i in range(8)]
    assert data["histograms"]["baseline"] == [100] * 8
    assert data["histograms"]["window"] == [902, 0, 100, 0, 0, 0, 0, 0]
    assert [also["column"] for also in data["also"] if also["check"] == "drift"] == ["c1", "c0"]
    assert [also["column"] for also in data["also"] if also["check"] == "collapse"] == ["c2", "c1", "c0"]
    assert data["log_range"] == {"w0": [[1, 10**9], [12, 10**12]], "w1": [[1, 10**9], [12, 10**12]]}
    assert data["replay"] == "plumbline monitor replay --from 2025-02-19T21:20:00Z --to 2025-02-19T21:22:00Z"
    assert "feature 'c2' drifted" in data["reason"]
    assert data["arms"] == {"stable": 1002}


@pytest.mark.parametrize("text", ["v", "a long category name of many words ", "💶", '"\\\\'])
def test_the_body_stays_below_the_limit_and_what_is_cut_is_added_up(text: str) -> None:
    event = request_retrain(incident(columns=200, categories=256, name=text * 40, text=text * 40, writers=256))
    assert len(event.body) < BODY_BYTES_MAX
    data = json.loads(event.body)["data"]
    assert data["also_left_out"] + len(data["also"]) == 199
    assert data["histograms"]["labels"][-1].startswith("other (")
    assert sum(data["histograms"]["baseline"]) == 25_600
    assert sum(data["histograms"]["window"]) == data["n"]


def test_the_same_incident_makes_the_same_bytes() -> None:
    assert request_retrain(incident()) == request_retrain(incident())
