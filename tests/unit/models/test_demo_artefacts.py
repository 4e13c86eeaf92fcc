import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.baseline import Baseline, matches
from models.binding import COLUMNS_KEY
from models.contract import Contract
from models.demo.card import Card, libraries
from models.demo.export import export
from models.demo.incidents import Incident, apply
from models.demo.seasons import WEEK_S
from models.demo.simulator import CATEGORICAL, LABEL, NUMERIC, rows
from models.demo.training import RECIPES, START_S, Recipe, payments_pipeline, simulated, single_precision, train
from models.demo.tumours import tumours
from models.demo.versions import FILE_BYTES_MAX, Version, version_of
from models.errors import ContractInvalid
from models.inspect import inspect
from models.lock import Lock, Pin
from models.manifest import BASELINE, CARD, CONTRACT, KNOWN, MODEL, Manifest
from models.session import Session

pytestmark = pytest.mark.slow

MODELS = Path(__file__).parents[3] / "models"
PINS = Lock.decode((MODELS / "models.lock.toml").read_text()).pins
OURS = {f"{recipe.name}:{recipe.version}": recipe for recipe in RECIPES}
EQUAL = 1e-5


def files_of(pin: Pin) -> dict[str, bytes]:
    folder = MODELS / pin.source.removeprefix("file:")
    return {name: (folder / name).read_bytes() for name in KNOWN}


def run(*args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "models.demo", *args], capture_output=True, text=True, check=False)


def test_every_demo_version_is_pinned() -> None:
    assert {pin.ref for pin in PINS} >= OURS.keys()


@pytest.mark.parametrize("pin", [pin for pin in PINS if pin.ref in OURS], ids=lambda pin: pin.ref)
def test_committed_bytes_are_those_that_the_lock_pins_and_that_may_be_loaded(pin: Pin) -> None:
    files = files_of(pin)
    assert Manifest.of(files).digest == pin.digest
    assert max(map(len, files.values())) < FILE_BYTES_MAX
    contract, baseline = Contract.decode(files[CONTRACT]), Baseline.decode(files[BASELINE])
    matches(contract, baseline)
    assert contract.encode() == files[CONTRACT]
    assert baseline.encode() == files[BASELINE]
    inspect(files[MODEL], pin.ref)
    session = Session(files[MODEL], ref=pin.ref)
    assert [tensor.name for tensor in session.outputs] == ["label", "probabilities"]
    assert msgspec.json.decode(session.metadata[COLUMNS_KEY]) == {t.name: list(t.columns) for t in contract.inputs}


@pytest.mark.parametrize("pin", [pin for pin in PINS if pin.ref in OURS], ids=lambda pin: pin.ref)
def test_a_card_tells_where_the_version_comes_from_and_what_it_had_to_show(pin: Pin) -> None:
    card = msgspec.json.decode(files_of(pin)[CARD], type=Card)
    assert f"{card.model}:{card.version}" == pin.ref
    assert all(gate.passed for gate in card.gates)
    assert {gate.metric for gate in card.gates} == {"auc", "log_loss", "onnx_difference", "model_bytes"}
    assert card.parameters == OURS[pin.ref].parameters()
    assert card.data_rows == Baseline.decode(files_of(pin)[BASELINE]).rows


def test_a_version_that_fails_a_gate_is_not_made() -> None:
    blind = replace(OURS["tumours:1"], trees=1, learning_rate=50.0)
    with pytest.raises(ContractInvalid, match="tumours:1, log_loss"):
        version_of(train(blind))


def test_payments_tolerances_are_known_for_hours_and_days() -> None:
    pin = next(pin for pin in PINS if pin.ref == "payments:1")
    baseline = Baseline.decode(files_of(pin)[BASELINE])
    for reference in (*baseline.features, *baseline.outputs):
        assert [length_s for length_s, _ in reference.natural] == [3600, 86_400]
    assert Contract.decode(files_of(pin)[CONTRACT]).label == LABEL


def small() -> Recipe:
    return replace(OURS["payments:1"], data_weeks=1, fit_rows_max=20_000, trees=40)


def test_the_graph_of_payments_answers_as_scikit_learn_also_for_nulls_and_new_categories() -> None:
    recipe, week = small(), simulated(3, START_S, START_S + WEEK_S / 7)
    pipeline = payments_pipeline(recipe).fit(single_precision(week), week.fraud)
    graph = Session(export("payments", pipeline, {"numeric": NUMERIC}, {"categorical": CATEGORICAL}), ref="payments:t")
    table = single_precision(week).iloc[:4000].copy()
    table.loc[::3, list(NUMERIC)] = np.nan
    table.loc[::5, list(CATEGORICAL)] = "new"
    answered = graph.run(
        {
            "numeric": table[list(NUMERIC)].to_numpy(dtype=np.float32),
            "categorical": table[list(CATEGORICAL)].to_numpy(dtype=object),
        }
    )
    predicted = pipeline.predict_proba(table)
    assert np.abs(answered[1] - predicted).max() < EQUAL
    assert (answered[0] == pipeline.predict(table)).all()


def test_the_graph_of_tumours_answers_as_scikit_learn() -> None:
    trained = train(OURS["tumours:1"])
    answered = Session(trained.model, ref="tumours:t").run(trained.held_out)[1]
    assert np.abs(answered - trained.predicted).max() < EQUAL
    made = inspect(trained.model, "tumours:t")
    says = [made.producer_name, made.producer_version, made.domain, made.doc_string, made.graph.doc_string]
    assert not any(says) and made.model_version == 0, "a graph does not say who made it, when or with what"


def test_the_committed_payments_model_finds_fraud_and_lives_through_every_incident() -> None:
    pin = next(pin for pin in PINS if pin.ref == "payments:1")
    graph = Session(files_of(pin)[MODEL], ref=pin.ref)
    hour = rows(simulated(9, START_S, START_S + 3600))
    for incident in Incident:
        if incident is Incident.COLUMN_MISSING:
            continue  # the service refuses such rows before the graph
        broken = apply(incident, hour, rng=np.random.default_rng(1))
        numeric = np.array([[row[name] for name in NUMERIC] for row in broken], dtype=np.float32)
        texts = np.array([[row[name] for name in CATEGORICAL] for row in broken], dtype=object)
        _, probabilities = graph.run({"numeric": numeric, "categorical": texts})
        assert np.isfinite(probabilities).all()
        assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.integration
def test_training_again_writes_the_same_bytes_and_pins_nothing_new(tmp_path: Path) -> None:
    first = run("--only", "tumours", "--into", str(tmp_path))
    lock = (tmp_path / "models.lock.toml").read_text()
    second = run("--only", "tumours", "--into", str(tmp_path))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout == second.stdout
    assert (tmp_path / "models.lock.toml").read_text() == lock
    assert [pin for pin in PINS if pin.name == "tumours"] == list(Lock.decode(lock).pins)


@pytest.mark.integration
def test_other_bytes_under_a_pinned_version_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    other = Lock((Pin(name="tumours", version="1", digest="sha256:" + "0" * 64, source="file:x"),)).encode()
    (tmp_path / "models.lock.toml").write_text(other)
    refused = run("--only", "tumours", "--into", str(tmp_path))
    assert refused.returncode == 3
    assert "tumours:1: already pinned" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["models.lock.toml"]
    assert (tmp_path / "models.lock.toml").read_text() == other
    replaced = run("--only", "tumours", "--into", str(tmp_path), "--replace")
    assert replaced.returncode == 0
    assert (tmp_path / "models.lock.toml").read_text() != other


def test_a_version_knows_its_folder_below_the_lock() -> None:
    files = {MODEL: b"m", CONTRACT: b"c"}
    assert Version("payments", "1", files).pin.source == "file:demo/artefacts/payments/1"


def test_tumours_baseline_counts_exactly_the_rows_that_traffic_is_drawn_from() -> None:
    pin = next(pin for pin in PINS if pin.ref == "tumours:1")
    assert Baseline.decode(files_of(pin)[BASELINE]).rows == len(tumours())


@pytest.mark.integration
def test_committed_artefacts_are_what_training_writes_today(tmp_path: Path) -> None:
    known = {pin.ref: msgspec.json.decode(files_of(pin)[CARD], type=Card).libraries for pin in PINS if pin.ref in OURS}
    assert all(versions == libraries() for versions in known.values()), "train again under the locked versions"
    done = run("--into", str(tmp_path))
    assert done.returncode == 0, done.stderr
    ours = [pin for pin in PINS if pin.ref in OURS]
    assert {pin.ref: pin.digest for pin in Lock.decode((tmp_path / "models.lock.toml").read_text()).pins} == {
        pin.ref: pin.digest for pin in ours
    }
    for pin in ours:
        for name, content in files_of(pin).items():
            assert (tmp_path / pin.source.removeprefix("file:") / name).read_bytes() == content, f"{pin.ref} {name}"
