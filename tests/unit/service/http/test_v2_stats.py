"""The statistics of a version are sums over arms, protocols and workers; what nobody measured is not in them."""

from typing import Any

import msgspec

from service.http.v2_stats import Total, model_stats


def arm(name: str, value: float, version: str = "1", **labels: str) -> Total:
    return name, {"model": "m", "version": version, **labels}, value


TOTALS: list[Total] = [
    *(arm("plumbline_request_duration_seconds_count", n, arm=a) for a, n in (("stable", 2.0), ("pinned", 1.0))),
    arm("plumbline_request_duration_seconds_sum", 0.003, arm="stable"),
    arm("plumbline_request_duration_seconds_bucket", 99, arm="stable", le="0.1"),
    arm("plumbline_request_queue_seconds_count", 3, arm="stable"),
    arm("plumbline_request_queue_seconds_sum", 0.0005, arm="stable"),
    arm("plumbline_request_compute_seconds_count", 3, arm="stable"),
    arm("plumbline_request_compute_seconds_sum", 0.001, arm="stable"),
    arm("plumbline_rows_total", 40, arm="stable"),
    arm("plumbline_rows_total", 2, arm="pinned"),
    arm("plumbline_requests_total", 3, arm="stable", outcome="answered", code="", protocol="v1"),
    arm("plumbline_requests_total", 4, arm="stable", outcome="rejected", code="invalid_input", protocol="v1"),
    arm("plumbline_requests_total", 1, arm="stable", outcome="shed", code="overloaded", protocol="v2"),
    arm("plumbline_rows_total", 1000, version="2"),
    ("plumbline_requests_received_total", {}, 8.0),
]


def stats(*versions: str, totals: list[Total] = TOTALS) -> list[dict[str, Any]]:
    found: dict[str, Any] = msgspec.json.decode(model_stats([("m", version) for version in versions], totals))
    return list(found["model_stats"])


def test_a_version_has_the_sums_of_its_arms_and_protocols_in_ns() -> None:
    assert stats("1") == [
        {
            "name": "m",
            "version": "1",
            "inference_count": 42,
            "inference_stats": {
                "success": {"count": 3, "ns": 3_000_000},
                "queue": {"count": 3, "ns": 500_000},
                "compute_infer": {"count": 3, "ns": 1_000_000},
                "fail": {"count": 5},
            },
        }
    ]


def test_runs_are_told_only_where_they_are_counted() -> None:
    assert "execution_count" not in stats("1")[0]
    assert stats("1", totals=[*TOTALS, arm("plumbline_batch_rows_count", 7)])[0]["execution_count"] == 7


def test_each_version_asked_for_has_its_own_and_one_without_requests_has_zeros() -> None:
    first, second, third = stats("2", "1", "3")
    assert [one["version"] for one in (first, second, third)] == ["2", "1", "3"]
    assert (first["inference_count"], first["inference_stats"]["success"]["count"]) == (1000, 0)
    assert third["inference_count"] == third["inference_stats"]["fail"]["count"] == 0
