"""What has each version done so far? From the counters that all workers share, in the words of V2's statistics extension.

Durations are sums in ns. What nobody measures is left out rather than given as 0: `last_inference`, `compute_input` and
`compute_output` (decoding and encoding are part of `success` alone), the time that failed requests took, `batch_stats`.

Laws
- `success.count`, `queue.count` and `compute_infer.count` are the answered requests of all workers since the start, no shadows.
- `inference_count` counts rows, `execution_count` runs of the graph; `fail.count` every request that got no prediction.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

Total = tuple[str, Mapping[str, str], float]
"""Name of a sample on the metrics page, its labels, its value."""

_NS_PER_S = 1_000_000_000
_DURATIONS = {"success": "request_duration", "queue": "request_queue", "compute_infer": "request_compute"}
_RUNS = "plumbline_batch_rows_count"


def model_stats(versions: Sequence[tuple[str, str]], totals: Iterable[Total]) -> bytes:
    """`GET /v2/models/{m}[/versions/{v}]/stats` of these (name, version)."""
    sums: Counter[tuple[str, str, str]] = Counter()
    for name, labels, value in totals:
        key = labels.get("model", ""), labels.get("version", "")
        if name == "plumbline_requests_total" and labels["outcome"] != "answered":
            sums[*key, "failed"] += value  # type: ignore[assignment]  # a Counter adds floats as well
        else:
            sums[*key, name] += value  # type: ignore[assignment]
    return msgspec.json.encode({"model_stats": [_stats(name, version, sums) for name, version in versions]})


def _stats(name: str, version: str, sums: Mapping[tuple[str, str, str], float]) -> dict[str, Any]:
    def total(sample: str) -> float:
        return sums.get((name, version, sample), 0.0)

    durations = {
        word: {
            "count": int(total(f"plumbline_{metric}_seconds_count")),
            "ns": round(total(f"plumbline_{metric}_seconds_sum") * _NS_PER_S),
        }
        for word, metric in _DURATIONS.items()
    }
    runs = {"execution_count": int(total(_RUNS))} if (name, version, _RUNS) in sums else {}
    return {
        "name": name,
        "version": version,
        "inference_count": int(total("plumbline_rows_total")),
        **runs,
        "inference_stats": {**durations, "fail": {"count": int(total("failed"))}},
    }
