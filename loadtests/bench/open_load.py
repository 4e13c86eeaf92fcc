"""How is a system loaded at a rate that waits for nobody? By `loadtests.open_loop` in a process of its own."""

import json
import sys
from typing import Any

from loadtests.bench.report import Measurement
from loadtests.bench.server import finish, pinned
from loadtests.bench.site import ROOT
from loadtests.bench.wrk import Target

GRACE_S = 60  # beyond the asked duration: the driver waits 10 s for the last answers
SKIP_S = 1.0  # the driver opens its connections and the system gets used to the rate
SEED = 7


def command(target: Target, *, rate: str, seconds: float, deadline_ms: int | None) -> list[str]:
    """The load as it is run; also what the report prints."""
    words = [sys.executable, "-m", "loadtests.open_loop", target.url, "--body", str(target.folder / "body")]
    words += ["--rate", rate, "--seconds", f"{seconds + SKIP_S:g}", "--skip-s", f"{SKIP_S:g}", "--seed", str(SEED)]
    words += ["--connections", str(target.connections), "--json"]
    for name, value in target.request.headers.items():
        words += ["--header", f"{name}: {value}"]
    return pinned(target.cores, words if deadline_ms is None else [*words, "--deadline-ms", str(deadline_ms)])


def load(
    target: Target, *, capacity_per_s: float, times: float, seconds: float, deadline_ms: int | None
) -> Measurement:
    """Loads it with `times` the capacity. Raises SystemUnfit where the driver fails."""
    (target.folder / "body").write_bytes(target.request.body)
    argv = command(target, rate=f"{capacity_per_s * times:.1f}", seconds=seconds, deadline_ms=deadline_ms)
    printed = finish("open_loop", argv, {"PYTHONPATH": str(ROOT)}, seconds + GRACE_S)
    return measured(json.loads(printed), capacity_per_s)


def measured(report: dict[str, Any], capacity_per_s: float) -> Measurement:
    """The driver's report in the bench's words; latencies are of the answers 200, 0 where there were none."""
    good = report["by_status"].get("200", {"n": 0, "latency_ms": {}})
    latency_ms = good["latency_ms"]
    return Measurement(
        requests=good["n"],
        duration_us=int(report["seconds"] * 1e6),
        refused=report["answered"] - good["n"],
        broken=report["broken"] + report["unanswered"],
        p50_us=1e3 * latency_ms.get("p50", 0.0),
        p95_us=1e3 * latency_ms.get("p95", 0.0),
        p99_us=1e3 * latency_ms.get("p99", 0.0),
        capacity_per_s=capacity_per_s,
        offered_per_s=report["due_per_s"],
        goodput_per_s=report["goodput_per_s"],
        late_us_p99=1e3 * report["lateness_ms"].get("p99", 0.0),
    )
