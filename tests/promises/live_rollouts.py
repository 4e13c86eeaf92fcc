"""What does a canary cost where everything is real: `python -m tests.promises.rollouts --live`, some minutes a fault.

A service, a monitor with `rollout_apply`, callers one after the other, 600 requests a minute; only the minutes are the callers'
(tests/rolling_out.py). Stable fails 1 % of its requests and 2 % of them take three times as long; the faults are those of the
simulation's table, and so is the document.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from service.featurelog.record import Outcome
from service.routes_document import ModelRoutes
from tests.faulty import faulty
from tests.rolling_out import Stage, staged
from tests.workers import requests_in

MINUTES_MAX = 300  # the simulation's medians are 78 to 130
PLAN = 'version = "2"\nbake_s = 1800\nrequests_min = 500\n'
FAULTS: Mapping[str, tuple[str, bytes]] = {
    "errors": ("errors + 2 %", faulty(failing=0.03)),
    "slow": ("p99 × 1.5, p50 as it was", faulty(failing=0.01, tail=1.5)),
    "shifted": ("scores + 0.5 σ", faulty(failing=0.01, shift=0.5)),
    "good": ("as good as stable", faulty(failing=0.01)),
}


def lines(names: Sequence[str], requests: int, seed: int) -> Iterator[str]:
    """The table, a line a fault; `names`: of FAULTS, none: all."""
    yield "| canary, live | end | minutes | canary's requests | of them failed | p50, p99 of stable's | said | seconds |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, (told, canary) in FAULTS.items():
        if names and name not in names:
            continue
        with TemporaryDirectory() as place, staged(Path(place), PLAN, **{name: canary}) as stage, stage.monitored():
            yield f"| {told} | {_rolled_out(stage, name, requests, seed)} |"


def _rolled_out(stage: Stage, model: str, requests: int, seed: int) -> str:
    callers, began_s, minutes = stage.callers(model, seed), perf_counter(), 0
    stage.command("start", model, "2")
    while (routes := stage.routes(model)).canary is not None and minutes < MINUTES_MAX:
        callers.ask_for_a_minute(requests)
        minutes += 1
    ends = {ModelRoutes(stable="1"): "rolled back", ModelRoutes(stable="2", previous="1"): "made stable"}
    end = ends.get(routes, "not over")
    why = stage.asked(f"/admin/routes/{model}/history")["changes"][-1]["why"].split(";")[0]
    counts = f"{minutes} | {callers.arms['canary']} | {callers.failed['canary']} | {_slower(stage, model)}"
    return f"{end} | {counts} | {why} | {perf_counter() - began_s:.0f}"


def _slower(stage: Stage, model: str) -> str:
    """By how much the canary's latencies really were: what else the machine does makes both tails longer, and alike."""
    answered = [
        one for one in requests_in(stage.home / "log") if one.model == model and one.outcome is Outcome.ANSWERED
    ]
    of = {arm: [one.total_us for one in answered if one.arm == arm] for arm in ("canary", "stable")}
    ratios = np.quantile(of["canary"], (0.5, 0.99)) / np.quantile(of["stable"], (0.5, 0.99))
    return " ".join(f"× {ratio:.2f}" for ratio in ratios)
