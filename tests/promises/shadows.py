"""What shadows cost the answers, the long way: at half of one core's capacity, without, with one, with a slow one.

    python -m tests.promises.shadows --rounds 3 --seconds 6

One worker on core 0, the driver on core 1. The peak of a closed loop without shadows, then rounds at half of it, at random
times that wait for no answer: shadow off, a shadow of every request that is as large as the model, and one of 10 ms a
row, which never gets through. The order turns from round to round. Prints the quantiles of every run, and the ratios to the run
without a shadow of the same round.
"""

import os
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import httpx
from prometheus_client.parser import text_string_to_metric_families

from loadtests.drive import Target, drive
from loadtests.open_loop import arrivals
from loadtests.samples import quantiles_ms
from service.routes_file import RoutesFile
from tests.onnx_models import install, wide, wide_contract
from tests.processes import READY_DEADLINE_S, Process, answers, environment, free_port, plumbline, wait_until
from tests.promises.overload import DRIVER_CORE, SERVER_CORE, Case, body, closed_loop
from tests.unit.service.serving import route

SHADOWS = {"off": [], "100 %": [{"version": "2"}], "100 %, 10 ms a row": [{"version": "3"}]}
CASE = Case("small (one row of 20 features by name)", "/v1/models/small:predict", body(20, 1), 1_000, 8_000)
SHARE = 0.5  # of the peak
SKIP_S = 1.0
SETTLED_WITHIN_S = 30.0  # offers wait for 10 s at most
P99_RATIO_MAX = 1.05  # the bar


@dataclass(frozen=True)
class Ran:
    """One run: quantiles of its answers, and what became of its offers."""

    mode: str
    p50_ms: float
    p99_ms: float
    late_ms: float
    refused: int
    results: Mapping[str, int]


def _metrics(url: str) -> dict[str, float]:
    """Shadow offers by result, and the generation of the routes."""
    found: dict[str, float] = {"run": 0.0}
    for family in text_string_to_metric_families(httpx.get(f"{url}/metrics", trust_env=False).text):
        for sample in family.samples:
            if sample.name == "plumbline_shadow_runs_total":
                found[sample.labels["result"]] = found.get(sample.labels["result"], 0) + sample.value
            elif sample.name == "plumbline_routes_generation":
                found["generation"] = sample.value
    return found


def _offers(url: str) -> dict[str, int]:
    return {result: int(n) for result, n in _metrics(url).items() if result != "generation"}


def run(url: str, home: Path, mode: str, rate: float, seconds: float, seed: int) -> Ran:
    """One mode; returns when nothing of it waits any more."""
    route(home, "small", stable="1", shadows=SHADOWS[mode])
    generation = RoutesFile(home / "routes.toml").read().generation
    wait_until(lambda: _metrics(url).get("generation") == generation, 10, "the routes are in use")
    before = _offers(url)
    samples = drive(
        Target.of(url + CASE.path, [CASE.body]), arrivals(rate, seconds + SKIP_S, seed=seed), connections=64
    )
    answered = int((samples.status == 200).sum())
    offered = answered if SHADOWS[mode] else 0
    wait_until(
        lambda: sum(_offers(url).values()) - sum(before.values()) >= offered, SETTLED_WITHIN_S, "all offers ended"
    )
    counted = samples.between(SKIP_S, seconds + SKIP_S)
    latency_ms = quantiles_ms(counted.latency_ms)
    late_ms = quantiles_ms((counted.sent_s - counted.due_s) * 1000)["p99"]
    results = {result: n - before.get(result, 0) for result, n in _offers(url).items()}
    refused = samples.status.size - answered
    return Ran(mode, latency_ms["p50"], latency_ms["p99"], late_ms, refused, {k: n for k, n in results.items() if n})


def compared(url: str, home: Path, rounds: int, seconds: float) -> None:
    """Prints what was found."""
    guess = closed_loop(url, CASE, 1, CASE.first_guess)
    peak = closed_loop(url, CASE, 3, guess)
    rate = SHARE * peak
    click.echo(f"{CASE.name}: peak {peak:.0f}/s, offered {rate:.0f}/s for {seconds:g} s a run")
    modes = list(SHADOWS)
    ratios: dict[str, list[tuple[float, float]]] = {mode: [] for mode in modes[1:]}
    for number in range(rounds):
        order = modes[number % len(modes) :] + modes[: number % len(modes)]
        found = {mode: run(url, home, mode, rate, seconds, number) for mode in order}
        for mode, ran in found.items():
            click.echo(
                f"  round {number + 1}, {mode}: p50 {ran.p50_ms:.3f} ms, p99 {ran.p99_ms:.3f} ms; driver late by "
                f"{ran.late_ms:.3f} ms (p99); {ran.refused} not answered; offers {dict(ran.results)}"
            )
        for mode in modes[1:]:
            ratios[mode].append((found[mode].p50_ms / found["off"].p50_ms, found[mode].p99_ms / found["off"].p99_ms))
    for mode, pairs in ratios.items():
        p50, p99 = ([pair[place] for pair in pairs] for place in (0, 1))
        held = statistics.median(p99) <= P99_RATIO_MAX
        click.echo(
            f"{'held  ' if held else 'MISSED'} {mode}: p99 × {statistics.median(p99):.3f} ({min(p99):.3f}–{max(p99):.3f}), "
            f"p50 × {statistics.median(p50):.3f} ({min(p50):.3f}–{max(p50):.3f})   (<= {P99_RATIO_MAX} in the median round)"
        )


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=6.0, show_default=True, help="Of a run.")
def main(rounds: int, seconds: float) -> None:
    """Measures a service of its own and prints what held."""
    os.sched_setaffinity(0, {DRIVER_CORE})
    with tempfile.TemporaryDirectory() as folder:
        home, port = Path(folder), free_port()
        for version, model in (("1", wide(64, 1)), ("2", wide(64, 1)), ("3", wide())):
            install(home, "small", version, model, wide_contract())
        route(home, "small", stable="1")
        url = f"http://127.0.0.1:{port}"
        serve = plumbline("serve", "--home", home, "--port", port, "--workers", 1)
        with Process(["taskset", "-c", str(SERVER_CORE), *serve], env=environment()) as process:
            process.wait_until(lambda: answers(f"{url}/readyz"), READY_DEADLINE_S, "service ready")
            process.wait_until(lambda: answers(f"{url}/v2/models/small/versions/3"), 60, "all versions are served")
            compared(url, home, rounds, seconds)


if __name__ == "__main__":
    main()
