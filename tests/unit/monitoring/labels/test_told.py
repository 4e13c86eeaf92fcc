"""What people and programs are told of labels: the page, the metrics, the command, the settings."""

from io import StringIO
from pathlib import Path

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from rich.console import Console

from models.registry import Registry
from models.task import Asked
from monitoring.errors import SettingsInvalid
from monitoring.labels.command import _show as shown
from monitoring.labels.command import _tell as all_shown
from monitoring.labels.exported import label_metrics
from monitoring.labels.measures import Measure
from monitoring.labels.said import LabelsSaid, said
from monitoring.references import References
from monitoring.settings import load
from tests.unit.monitoring.labels.made import (
    RULES,
    START_MINUTE,
    SUBJECT,
    Folded,
    draw,
    folded,
    label,
    performance,
    reference,
    request,
)
from tests.unit.monitoring.made import model


@pytest.fixture(scope="module")
def told() -> LabelsSaid:
    made: Folded = folded(performance(5_000))
    scores, hits = draw(300, np.random.default_rng(1))
    for number, (score, hit) in enumerate(zip(scores.tolist(), hits.tolist(), strict=True)):
        minute = START_MINUTE + number
        made.minute(minute, request(minute, f"r{number}", [score]), label(minute, f"r{number}", hit, second=1))
    return said(made.book, START_MINUTE + 300, {"payments": RULES}, {SUBJECT: reference(None, label=None)}, {}, 100)


def test_a_version_is_told_with_what_it_is_held_against_and_by_window(told: LabelsSaid) -> None:
    (version,) = told.versions
    assert (version.task, version.output, version.positive, version.reference) == ("binary", "p", "1", "held_out")
    assert [window.window_s for window in version.windows] == [86_400, 604_800, 2_592_000]
    assert {window.labelled for window in version.windows} == {300}
    measures = {measure.name: measure for measure in version.windows[0].measures}
    assert measures["log_loss"].realised is not None
    assert measures["log_loss"].estimated == pytest.approx(measures["log_loss"].realised, rel=0.3)
    assert told.counters["joined"] == 300
    assert told.of("other").versions == ()
    assert msgspec.json.decode(msgspec.json.encode(told), type=LabelsSaid) == told


def test_a_version_whose_labels_are_not_looked_at_says_why(told: LabelsSaid) -> None:
    (left_out,) = told.not_asked
    assert "no label is declared" in left_out.why


def test_prometheus_is_told_every_measure_once(told: LabelsSaid) -> None:
    class Once(Collector):
        def collect(self) -> list[Metric]:
            return list(label_metrics(told, "plumbline_monitor"))

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Once())
    page = generate_latest(registry).decode()
    wanted = '{as="realised",measure="auc",model="payments",version="1",window="86400s"}'
    assert f"plumbline_monitor_label_measure{wanted}" in page
    assert 'plumbline_monitor_labels_total{what="joined"} 300.0' in page
    assert 'quantile="0.5"' in page
    series = [line.rpartition(" ")[0] for line in page.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series)) < 200


def test_the_table_shows_measures_beside_what_was_estimated(told: LabelsSaid) -> None:
    console = Console(record=True, width=200, file=StringIO())
    shown(console, told.versions[0])
    text = console.export_text()
    assert "held-out rows" in text
    assert "log_loss" in text
    assert "300 (100%)" in text


def test_names_are_shown_as_they_are_whatever_brackets_they_have(told: LabelsSaid) -> None:
    named = msgspec.structs.replace(told.versions[0], output="p[0]", positive="[bold]yes[/]")
    left_out = msgspec.structs.replace(told.not_asked[0], model="[red]m")
    console = Console(record=True, width=200, file=StringIO())
    all_shown(console, LabelsSaid((named,), (left_out,), told.counters))
    page = console.export_text()
    assert "p[0] of [bold]yes[/]" in page
    assert "[red]m" in page
    assert "[monitor.labels]" in page


def test_a_number_without_an_interval_is_shown_as_one(told: LabelsSaid) -> None:
    window = told.versions[0].windows[0]
    alone = Measure("auc", realised=0.8)
    one = msgspec.structs.replace(told.versions[0], windows=(msgspec.structs.replace(window, measures=(alone,)),))
    console = Console(record=True, width=200, file=StringIO())
    shown(console, one)
    assert "0.8 (–)" in console.export_text()
    metrics = {metric.name: metric for metric in label_metrics(LabelsSaid((one,)), "plumbline_monitor")}
    assert [sample.labels["as"] for sample in metrics["plumbline_monitor_label_measure"].samples] == ["realised"]


def test_what_is_predicted_can_be_set_and_what_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plumbline.toml").write_text(
        '[monitor]\nlabel_wait_max = "7d"\n[monitor.labels.loans]\nkind = "binary"\noutput = "p"\npositive = "bad"\n'
    )
    rules = load(tmp_path).rules()
    assert rules.label_tasks == {"loans": Asked(kind="binary", output="p", positive="bad")}
    assert rules.label_wait_s == 7 * 86_400
    (tmp_path / "plumbline.toml").write_text('[monitor.labels.loans]\nkind = "colour"\n')
    with pytest.raises(SettingsInvalid, match="binary, classes, number"):
        load(tmp_path)


def test_the_label_and_the_reference_of_a_version_come_from_its_artefact(tmp_path: Path) -> None:
    made = model(rows=500)
    contract = msgspec.structs.replace(made.contract, label="fraud")
    baseline = msgspec.structs.replace(made.baseline, performance=performance(500))
    registry = Registry(tmp_path / "registry")
    files = {"model.onnx": b"no graph", "contract.json": contract.encode(), "baseline.json": baseline.encode()}
    digest = registry.install(files)
    found = References(registry).learn({digest: made.schema})[digest]
    assert (found.label, found.performance) == ("fraud", performance(500))
