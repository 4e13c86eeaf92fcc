"""What /metrics says of the service: it adds up, and its series are bounded."""

import os
import subprocess
import sys
from bisect import bisect_left
from collections import Counter as Sums
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.featurelog.record import Outcome
from service.telemetry import LATENCY_BUCKETS_S, Telemetry
from tests.processes import ROOT
from tests.unit.service.featurelog.writing import request

pytestmark = pytest.mark.slow

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def scrapes(tmp_path_factory: pytest.TempPathFactory) -> list[Samples]:
    """Before the first request, after 135 of them, and after ten thousand random names."""
    home, metrics = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("metrics")
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    command = [sys.executable, "-m", "tests.unit.service.measured", str(home)]
    ran = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return [samples(text) for text in ran.stdout.split("\x00")]


def total(found: Samples, name: str, **labels: str) -> float:
    wanted = set(labels.items())
    return sum(value for (sample, given), value in found.items() if sample == name and wanted <= set(given))


def test_received_is_the_sum_of_the_outcomes(scrapes: list[Samples]) -> None:
    for found in scrapes:
        assert total(found, "plumbline_requests_received_total") == total(found, "plumbline_requests_total")
    settled = scrapes[1]
    assert total(settled, "plumbline_requests_received_total") == 132
    assert total(settled, "plumbline_requests_total", outcome="answered") == 101
    assert total(settled, "plumbline_requests_total", code="invalid_input") == 30
    assert total(settled, "plumbline_requests_total", code="too_many_rows") == 1


def test_answered_is_what_was_logged_and_what_was_dropped(scrapes: list[Samples]) -> None:
    for found in scrapes:
        for outcome in Outcome:
            logged = total(found, "plumbline_log_records_total", outcome=outcome)
            dropped = total(found, "plumbline_log_dropped_total", outcome=outcome)
            assert total(found, "plumbline_requests_total", outcome=outcome) == logged + dropped


def test_rows_and_durations_are_those_of_the_answers(scrapes: list[Samples]) -> None:
    settled = scrapes[1]
    assert total(settled, "plumbline_rows_total") == 101
    for name in ("request_duration", "request_queue", "request_compute"):
        assert total(settled, f"plumbline_{name}_seconds_count") == 101
        assert total(settled, f"plumbline_{name}_seconds_bucket", le="+Inf") == 101
    assert total(settled, "plumbline_request_duration_seconds_sum") > total(
        settled, "plumbline_request_compute_seconds_sum"
    )
    assert total(settled, "plumbline_requests_total", arm="canary") > 10
    assert total(settled, "plumbline_feedback_total") == 3
    assert total(settled, "plumbline_routes_generation") == 3


def test_ten_thousand_random_names_make_no_series_of_their_own(scrapes: list[Samples]) -> None:
    _, settled, after = scrapes
    new = set(after) - set(settled)
    assert total(after, "plumbline_requests_received_total") > 1000
    values = {value for _, labels in after for name, value in labels if name in ("model", "version", "arm", "code")}
    assert values <= {
        "", "mixed", "image", "1", "2", "stable", "canary", "pinned",
        "invalid_input", "too_many_rows", "model_unknown", "version_unknown", "malformed_body",
    }  # fmt: skip
    assert len(new) < 10, new


# --- in this process ----------------------------------------------------------------------------------------------


def test_the_cells_of_a_histogram_that_are_written_to_directly_are_there() -> None:
    """`_Answers.publish` writes into `_buckets` and `_sum`: a version of prometheus_client without them fails here."""
    registry = CollectorRegistry()
    histogram = Histogram("h", "text", ["a"], buckets=LATENCY_BUCKETS_S, registry=registry)
    child = histogram.labels("x")
    assert len(child._buckets) == len(LATENCY_BUCKETS_S) + 1
    child._buckets[3].inc(2)
    child._sum.inc(0.5)
    found = samples(generate_latest(registry).decode())
    assert total(found, "h_sum") == 0.5
    assert total(found, "h_count") == 2


@pytest.mark.parametrize("duration_us", [0, 1, 100, 101, 999_999, 5_000_000, 5_000_001, 10**9])
def test_a_duration_falls_into_the_bucket_that_observe_would_choose(duration_us: int) -> None:
    registry = CollectorRegistry()
    histogram = Histogram("h", "text", buckets=LATENCY_BUCKETS_S, registry=registry)
    histogram.observe(duration_us / 1e6)
    chosen = next(place for place, bucket in enumerate(histogram._buckets) if bucket.get())
    assert chosen == bisect_left(LATENCY_BUCKETS_S, duration_us / 1e6)


def test_the_first_bucket_ends_at_a_tenth_of_a_millisecond_and_buckets_rise() -> None:
    assert LATENCY_BUCKETS_S[0] == 0.0001
    assert list(LATENCY_BUCKETS_S) == sorted(set(LATENCY_BUCKETS_S))


def test_two_workers_in_one_process_do_not_share_instruments() -> None:
    """Nothing is registered at import or globally, so building twice does not clash."""
    for _ in range(2):
        telemetry = Telemetry()
        telemetry.request(request(0), "m", "1")
        telemetry.publish(Sums({"answered": 1}), {"answered": {"no_space": 2}})
        telemetry.publish(Sums({"answered": 1}), {"answered": {"no_space": 2}})


TWO_WORKERS = """
import os
from service.telemetry import Telemetry

if (pid := os.fork()) == 0:
    other = Telemetry()
    other.log_disk(3, 7, 1000)
    os.kill(os.getpid(), 9)
os.waitpid(pid, 0)
telemetry = Telemetry()
telemetry.log_disk(2, 5, 30)
print(telemetry.exposition().decode())
"""


def test_a_gauge_is_not_of_a_worker_that_was_killed_and_a_counter_is(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    command = [sys.executable, "-c", TWO_WORKERS]
    ran = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = samples(ran.stdout)
    assert total(found, "plumbline_log_reserve_bytes") == 30
    assert total(found, "plumbline_log_fsync_failures_total") == 5
    assert total(found, "plumbline_log_unsynced_total") == 12
