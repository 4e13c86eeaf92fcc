"""Pages of /metrics: what was counted between two of them, and quantiles of their histograms."""

import pytest

from loadtests.load.scraped import page_of

BEFORE = """# HELP plumbline_requests_total Predict requests by outcome.
plumbline_requests_received_total 10.0
plumbline_requests_total{arm="stable",code="",model="m",outcome="answered",protocol="v1",version="1"} 10.0
plumbline_batch_rows_sum{model="m",version="1"} 10.0
plumbline_batch_rows_count{model="m",version="1"} 10.0
process_cpu_seconds_total 3.0
"""
AFTER = """plumbline_requests_received_total 25.0
plumbline_requests_total{arm="stable",code="",model="m",outcome="answered",protocol="v1",version="1"} 20.0
plumbline_requests_total{arm="canary",code="overloaded",model="m",outcome="shed",protocol="v2",version="2"} 5.0
plumbline_batch_rows_sum{model="m",version="1"} 1e+02
plumbline_batch_rows_count{model="m",version="1"} 40.0
"""
HISTOGRAM = """plumbline_request_queue_seconds_bucket{arm="stable",le="0.001",model="m",version="1"} 50.0
plumbline_request_queue_seconds_bucket{arm="stable",le="0.01",model="m",version="1"} 90.0
plumbline_request_queue_seconds_bucket{arm="stable",le="+Inf",model="m",version="1"} 100.0
plumbline_request_queue_seconds_bucket{arm="canary",le="0.001",model="m",version="2"} 100.0
plumbline_request_queue_seconds_bucket{arm="canary",le="0.01",model="m",version="2"} 100.0
plumbline_request_queue_seconds_bucket{arm="canary",le="+Inf",model="m",version="2"} 100.0
"""


def test_what_was_there_before_the_run_is_not_of_the_run() -> None:
    counted = page_of(AFTER).since(page_of(BEFORE))
    assert counted.total("plumbline_requests_received_total") == 15
    assert counted.by("plumbline_requests_total", "outcome", "code") == {
        ("answered", ""): 10,
        ("shed", "overloaded"): 5,
    }
    assert counted.mean("plumbline_batch_rows") == 3


def test_a_counter_that_fell_began_again() -> None:
    assert page_of(BEFORE).since(page_of(AFTER)).total("plumbline_requests_received_total") == 10


def test_nothing_counted_is_no_mean_and_no_quantile() -> None:
    counted = page_of(BEFORE).since(page_of(BEFORE))
    assert counted.mean("plumbline_batch_rows") is None
    assert counted.quantile("plumbline_request_queue_seconds", 0.5) is None


@pytest.mark.parametrize(
    ("share", "arm", "value"),
    [(0.25, "stable", 0.0005), (0.7, "stable", 0.0055), (0.99, "stable", 0.01), (0.5, "canary", 0.0005)],
)
def test_a_quantile_is_even_within_its_bucket_and_ends_at_the_last_bound(share: float, arm: str, value: float) -> None:
    assert page_of(HISTOGRAM).quantile("plumbline_request_queue_seconds", share, arm=arm) == pytest.approx(value)


def test_a_quantile_of_several_series_is_of_their_sum() -> None:
    assert page_of(HISTOGRAM).quantile("plumbline_request_queue_seconds", 0.75) == pytest.approx(0.001)
