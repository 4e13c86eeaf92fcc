"""What overload does to answers, the long way: twice the load that one core can bear, and what comes after.

    python -m tests.promises.overload --seconds 20

One worker on core 0, the driver on core 1. For a cheap model and for one of 10 ms: the peak of a closed loop, then requests at
half the peak, at twice the peak, and at half again, at random times that wait for no answer. Prints what was asked, what was
found, and the bar.
"""

import asyncio
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec
import numpy as np
import uvloop

from loadtests.drive import Run, Target, drive
from loadtests.open_loop import arrivals
from loadtests.samples import Samples, quantiles_ms
from tests.onnx_models import install, wide, wide_contract
from tests.processes import READY_DEADLINE_S, Process, answers, environment, free_port, plumbline
from tests.unit.service.serving import route

SERVER_CORE, DRIVER_CORE = 0, 1
CONNECTIONS = 64  # of the closed loop
# Of the open loop, opened before it: libuv accepts one connection a turn, so new ones wait long under load.
POOL = 900  # below max_connections: the probes need one of their own
QUIET_S, WINDOW_S = 5.0, 0.5
PROBES_PER_S = 20.0
GOODPUT_SHARE, SHED_MS, RECOVERY_S = 0.9, 10.0, 5.0  # the bars


@dataclass(frozen=True)
class Case:
    """One model under overload."""

    name: str
    path: str
    body: bytes
    deadline_ms: int
    first_guess: float  # requests a second, for the length of the first closed loop


FEATURES, ROWS = 200, 8  # so that the driver, which sends 25 000 requests a second at most, can offer twice the peak


def body(features: int, rows: int) -> bytes:
    """A V1 body of rows by name."""
    return msgspec.json.encode({"instances": [{f"f{number}": number / 8 for number in range(features)}] * rows})


CASES = (
    Case(
        f"cheap ({ROWS} rows of {FEATURES} features by name)",
        "/v1/models/small:predict",
        body(FEATURES, ROWS),
        100,
        4_000,
    ),
    Case("10 ms (wide network, one row by name)", "/v1/models/wide:predict", body(20, 1), 500, 100),
)


@dataclass(frozen=True)
class Found:
    """The figures of one case."""

    case: Case
    peak_per_s: float
    overload: Samples  # what was due in the overload
    probes: Samples
    seconds: float
    quiet_p99_ms: float
    recovered_s: float

    def lines(self) -> list[str]:
        """What was found beside its bar, as a person reads it."""
        status, latency_ms = self.overload.status, self.overload.latency_ms
        good = ((status == 200) & (latency_ms <= self.case.deadline_ms)).sum() / self.seconds
        admitted = quantiles_ms(latency_ms[status == 200]).get("p99", float("nan"))
        shed = quantiles_ms((self.overload.ended_s - self.overload.sent_s)[(status == 503) | (status == 504)] * 1000)
        late = quantiles_ms((self.overload.sent_s - self.overload.due_s) * 1000)["p99"]
        probe = quantiles_ms(self.probes.latency_ms)
        sent_ms = (self.overload.ended_s - self.overload.sent_s) * 1000
        of_sent = quantiles_ms(sent_ms[status == 200])
        in_time = ((status == 200) & (sent_ms <= self.case.deadline_ms)).sum() / self.seconds
        counts = {int(value): int((status == value).sum()) for value in np.unique(status)}
        share = good / self.peak_per_s
        return [
            f"{self.case.name}, deadline {self.case.deadline_ms} ms",
            f"  peak {self.peak_per_s:.0f}/s; offered {status.size / self.seconds:.0f}/s for {self.seconds:.0f} s; "
            f"statuses {counts}; driver late by {late:.2f} ms (p99)",
            f"  from when they were sent: {in_time:.0f}/s within the deadline ({in_time / self.peak_per_s:.0%}), "
            f"admitted p50 {of_sent.get('p50')} ms, p99 {of_sent.get('p99')} ms",
            _line(
                "goodput within the deadline",
                f"{good:.0f}/s, {share:.0%} of the peak",
                share >= GOODPUT_SHARE,
                ">= 90 %",
            ),
            _line(
                "p99 of what was admitted", f"{admitted:.1f} ms", admitted <= self.case.deadline_ms, "<= the deadline"
            ),
            _line(
                "refused within",
                f"p50 {shed.get('p50')} ms, p99 {shed.get('p99')} ms",
                shed.get("p99", 0) <= SHED_MS,
                "<= 10 ms, as the client sees it",
            ),
            _line(
                "recovered after",
                f"{self.recovered_s:.1f} s (p99 before: {self.quiet_p99_ms:.1f} ms)",
                self.recovered_s <= RECOVERY_S,
                "<= 5 s",
            ),
            _line(
                "/livez",
                f"{(self.probes.status == 200).sum()} of {self.probes.status.size}, p99 {probe.get('p99')} ms",
                bool((self.probes.status == 200).all()),
                "all answered",
            ),
        ]


def _line(what: str, found: str, held: bool, bar: str) -> str:
    return f"  {'held  ' if held else 'MISSED'} {what}: {found}   ({bar})"


def closed_loop(url: str, case: Case, seconds: float, guess: float) -> float:
    """Answers a second when CONNECTIONS clients ask again as soon as they are answered."""
    samples = drive(
        Target.of(url + case.path, [case.body]),
        np.zeros(int(guess * seconds)),
        connections=CONNECTIONS,
        connections_max=CONNECTIONS,
        grace_s=60,
    )
    assert (samples.status == 200).all(), f"{case.name}: {np.unique(samples.status)} without overload"
    return samples.status.size / float(samples.ended_s.max())


def phases(peak: float, seconds: float, factor: float) -> np.ndarray:
    """When requests are due: half the peak, `factor` times the peak for `seconds`, half again."""
    parts, start_s = [], 0.0
    for number, (share, lasts_s) in enumerate(((0.5, QUIET_S), (factor, seconds), (0.5, 2 * QUIET_S))):
        parts.append(start_s + arrivals(share * peak, lasts_s, seed=number + 1))
        start_s += lasts_s
    return np.concatenate(parts)


async def _both(main: Run, probes: Run) -> tuple[Samples, Samples]:
    one, other = await asyncio.gather(main.run(), probes.run())
    return one, other


def overloaded(url: str, case: Case, seconds: float, factor: float) -> Found:
    """One case, from peak to recovery."""
    guess = closed_loop(url, case, 1, case.first_guess)
    before = closed_loop(url, case, 3, guess)
    target = Target.of(url + case.path, [case.body], [("x-request-timeout-ms", str(case.deadline_ms))])
    due_s = phases(before, seconds, factor)
    probes_s = arrivals(PROBES_PER_S, float(due_s[-1]), seed=1, poisson=False)
    main = Run(target, due_s, connections=POOL, connections_max=POOL, grace_s=10)
    probes = Run(
        Target.of(url + "/livez", [b""], method="GET"), probes_s, connections=1, connections_max=50, grace_s=10
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        samples, probed = runner.run(_both(main, probes))
    after = closed_loop(url, case, 3, guess)
    end_s = QUIET_S + seconds
    quiet = quantiles_ms(samples.between(1, QUIET_S).latency_ms)["p99"]
    return Found(
        case,
        max(before, after),
        samples.between(QUIET_S, end_s),
        probed,
        seconds,
        quiet,
        _recovered_s(samples, end_s, quiet),
    )


def _recovered_s(samples: Samples, end_s: float, quiet_p99_ms: float) -> float:
    """How long after the overload the last window was whose p99 was twice that before, or which had anything but 200."""
    bad = 0.0
    for start_s in np.arange(end_s, end_s + 2 * QUIET_S, WINDOW_S):
        window = samples.between(float(start_s), float(start_s) + WINDOW_S)
        if window.status.size and (
            (window.status != 200).any() or quantiles_ms(window.latency_ms)["p99"] > 2 * quiet_p99_ms
        ):
            bad = float(start_s) + WINDOW_S - end_s
    return bad


@click.command()
@click.option("--seconds", default=20.0, show_default=True, help="How long the overload lasts.")
@click.option("--factor", default=2.0, show_default=True, help="Of the peak.")
@click.option("--only", default="", help="Cases whose name begins so.")
@click.option("--json", "as_json", is_flag=True)
def main(seconds: float, factor: float, only: str, as_json: bool) -> None:
    """Overloads a service of its own and prints what held."""
    os.sched_setaffinity(0, {DRIVER_CORE})
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        serve = plumbline("serve", "--home", home, "--port", port, "--workers", 1)
        with Process(["taskset", "-c", str(SERVER_CORE), *serve], env=environment()) as process:
            process.wait_until(lambda: answers(f"{url}/readyz"), READY_DEADLINE_S, "service ready")
            models = {
                "small": (wide(64, 1, FEATURES), wide_contract(FEATURES)),
                "wide": (wide(), wide_contract()),
            }
            for name, (model, contract) in models.items():
                install(home, name, "1", model, contract)
                route(home, name, stable="1")
            process.wait_until(lambda: answers(f"{url}/v2/models/wide"), 10, "the models are served")
            for case in CASES:
                if case.name.startswith(only):
                    click.echo("\n".join(overloaded(url, case, seconds, factor).lines()))


if __name__ == "__main__":
    main()
