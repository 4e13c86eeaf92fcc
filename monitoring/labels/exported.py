"""What Prometheus is told of labels.

Law: series are bounded: by version TRACKS_MAX, by window three, by measure those of a task, by fate those of the book.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from monitoring.labels.said import LabelsSaid, VersionLabels

VERSION = ("model", "version")
WINDOW = (*VERSION, "window")


def label_metrics(said: LabelsSaid, prefix: str) -> Iterator[Metric]:
    """Of two digests of one name the later one in the list."""
    received = CounterMetricFamily(f"{prefix}_labels", "Labels, by what became of them.", labels=("what",))
    for what, n in said.counters.items():
        received.add_metric([what], n)
    yield received
    newest = {(one.model, one.version): one for one in said.versions}
    yield from _windows(newest, prefix)
    yield from _alarms(newest, prefix)


def _windows(versions: dict[tuple[str, str], VersionLabels], prefix: str) -> Iterator[Metric]:
    rows = GaugeMetricFamily(
        f"{prefix}_label_rows", "Predictions of a window, by what became of their labels.", labels=(*WINDOW, "what")
    )
    delay = GaugeMetricFamily(
        f"{prefix}_label_delay_seconds", "Time from answer to label, of labels that came.", labels=(*WINDOW, "quantile")
    )
    measures = GaugeMetricFamily(
        f"{prefix}_label_measure",
        "How good predictions of a window were (realised, low, high), or probably are (estimated).",
        labels=(*WINDOW, "measure", "as"),
    )
    for labels, version in versions.items():
        for window in version.windows:
            place = [*labels, f"{window.window_s}s"]
            for what in ("rows", "waited", "labelled", "unknowable", "expired", "misfit", "unscored", "let_go"):
                rows.add_metric([*place, what], getattr(window, what))
            for quantile, value in window.delay_s.items():
                if value is not None:
                    delay.add_metric([*place, f"0.{quantile[1:].rstrip('0')}"], value)
            for measure in window.measures:
                for word in ("realised", "low", "high", "estimated"):
                    if (value := getattr(measure, word)) is not None:
                        measures.add_metric([*place, measure.name, word], value)
    yield from (rows, delay, measures)


def _alarms(versions: dict[tuple[str, str], VersionLabels], prefix: str) -> Iterator[Metric]:
    check = (*VERSION, "check")
    standing = GaugeMetricFamily(
        f"{prefix}_label_alarm", "1 while the alarm of a check of labels stands.", labels=check
    )
    evidence = GaugeMetricFamily(
        f"{prefix}_label_evidence", "Evidence of a check of labels; 1: as much as an alarm needs.", labels=check
    )
    waiting = GaugeMetricFamily(f"{prefix}_label_waiting", "Predictions that wait for a label.", labels=VERSION)
    for labels, version in versions.items():
        waiting.add_metric([*labels], version.waiting)
        for name, stands, found, needed in (
            ("loss", version.alarm_loss, version.evidence_loss, version.evidence_needed_loss),
            ("estimate", version.alarm_estimate, version.evidence_estimate, version.evidence_needed_estimate),
        ):
            standing.add_metric([*labels, name], float(stands))
            evidence.add_metric([*labels, name], max(0.0, (found or 0.0) / needed))
    yield from (standing, evidence, waiting)
