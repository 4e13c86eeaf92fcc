"""Versions that come and go under load: pinned, tried, loaded, rehearsed, routed to; the one before the last is freed.

    python -m tests.promises.swaps --swaps 50

Two workers on one core, an open loop on the other at the rate that keeps them busy for 70 % of the time (tests/busy.py), a
swap a round to new bytes. Prints failed requests, p99 of the requests that were due during a swap over that of the quiet part
of its round, in the median round, and the memory of the workers. Exit code 1 where a request failed, the ratio is above 1.5 or
the workers grew by more than GROWN_MIB_MAX. The trial and the rehearsal of each version are on the workers' core; what a swap
is asked by is not. A round in which the host stopped this machine is counted for its failures only, and made again (ROUNDS_MAX
times as many at most). The two halves of each quiet part, held against each other, say what the ratio is worth.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

import click
import httpx
import numpy as np
import onnx
import psutil

from loadtests.drive import Target, drive
from loadtests.open_loop import arrivals
from loadtests.precedence import forward, step_forward
from loadtests.samples import Samples
from loadtests.stolen import SOME_S, stolen_s
from models.durable import exclusively, replace_durably
from models.lock import Lock, Pin
from models.lock_file import LockFile
from models.manifest import MODEL
from models.precedence import step_back
from models.registry import Registry
from tests.busy import rate_for
from tests.processes import ROOT, Process, environment, home, served, wait_until
from tests.requests import payments_body
from tests.workers import workers_of

WORKERS, CONNECTIONS, SHARE = 2, 16, 0.7
ROUND_S, QUIET_S = 7.0, 2.0  # of a round; its swap begins after the quiet part
SERVER_CORE, DRIVER_CORE = 0, 1
WARM_ROUNDS = 2
ROUNDS_MAX = 2.0
FIRST_RATE_PER_S = 2_000.0
RATIO_MAX, GROWN_MIB_MAX = 1.5, 32.0
KEPT_PINS = 2  # the version that answers, and where a rollback goes back to
SWAP_WITHIN_S = 60.0
TOKEN = "secret"
PATH = "/v1/models/payments:predict"
_ARTEFACTS = ROOT / "models" / "demo" / "artefacts" / "payments" / "1"
MIB = 1 << 20


@dataclass
class Found:
    """What was seen; times in ms, memory in MiB."""

    share: float = SHARE
    swaps: int = 0
    disturbed: int = 0
    answered: int = 0
    failed: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    rates_per_s: list[float] = field(default_factory=list)
    during: list[np.ndarray] = field(default_factory=list)
    between: list[np.ndarray] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)

    @property
    def p99_ms(self) -> tuple[float, float]:
        """Between swaps, and during them, over all rounds."""
        return _p99_ms(np.concatenate(self.between)), _p99_ms(np.concatenate(self.during))

    @property
    def ratios(self) -> np.ndarray:
        """p99 during a swap over that of the quiet part of its round."""
        pairs = zip(self.during, self.between, strict=True)
        return np.array([_p99_ms(during) / _p99_ms(between) for during, between in pairs])

    @property
    def quiet_ratios(self) -> np.ndarray:
        """The same between the halves of a quiet part: what is seen where nothing happens."""
        halves = [np.array_split(between, 2) for between in self.between]
        return np.array([_p99_ms(later) / _p99_ms(earlier) for earlier, later in halves])

    @property
    def held(self) -> bool:
        """Nothing failed, and the bars."""
        return not self.failed and float(np.median(self.ratios)) <= RATIO_MAX and self.grown_mib <= GROWN_MIB_MAX

    @property
    def grown_mib(self) -> float:
        return self.memory_mib[-1] - self.memory_mib[0]

    def lines(self) -> Iterator[str]:
        steady, swapping = self.p99_ms
        low, rate, high = np.quantile(self.rates_per_s, (0, 0.5, 1))
        yield (
            f"{self.swaps} swaps at {rate:.0f} requests/s ({low:.0f} to {high:.0f}: workers busy for {self.share:.0%}), "
            f"{np.median(self.took_s):.2f} s each (median); the host stopped this machine in {self.disturbed}"
        )
        failed = f"{self.failed} of {self.answered + self.failed}, statuses {dict(self.statuses)}"
        yield _line("failed", failed, not self.failed, "none")
        ratio = float(np.median(self.ratios))
        told = f"{_spread(self.ratios)} x in the median round, two quiet halves {_spread(self.quiet_ratios)} x"
        during_ms, between_ms = (np.median(np.concatenate(part)) for part in (self.during, self.between))
        yield f"  p50 {during_ms:.2f} ms during, {between_ms:.2f} ms between"
        yield f"  p99 {swapping:.2f} ms during, {steady:.2f} ms between: {swapping / steady:.2f} x over all rounds"
        yield _line("p99", told, ratio <= RATIO_MAX, f"<= {RATIO_MAX} x")
        memory = " ".join(f"{mib:.0f}" for mib in self.memory_mib)
        yield _line("memory of all workers, MiB", memory, self.grown_mib <= GROWN_MIB_MAX, f"+ {GROWN_MIB_MAX:g}")


def _line(what: str, found: str, held: bool, bar: str) -> str:
    return f"  {'held  ' if held else 'MISSED'} {what}: {found}   ({bar})"


def _p99_ms(latency_ms: np.ndarray) -> float:
    return float(np.quantile(latency_ms, 0.99))


def _spread(ratios: np.ndarray) -> str:
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


# --- one swap -----------------------------------------------------------------------------------------------------


def install(place: Path, number: int) -> Pin:
    """The demo model with other bytes: nobody has seen its digest."""
    graph = onnx.load_model(_ARTEFACTS / MODEL)
    graph.metadata_props.add(key="swap", value=str(number))
    files = {path.name: path.read_bytes() for path in _ARTEFACTS.iterdir()}
    digest = Registry(place / "registry").install({**files, MODEL: graph.SerializeToString()})
    return Pin(name="payments", version=f"s{number}", digest=digest, source=f"file:{place / 'registry'}")


def admin(url: str) -> httpx.Client:
    """Of the service at this URL; made before anything is measured: it loads certificates for tens of milliseconds.

    A connection for each order: one that is kept may end at the moment at which it is used again.
    """
    return httpx.Client(
        base_url=url,
        headers={"authorization": f"Bearer {TOKEN}"},
        timeout=2 * SWAP_WITHIN_S,
        limits=httpx.Limits(max_keepalive_connections=0),
        trust_env=False,
    )


def swap(place: Path, client: httpx.Client, number: int) -> None:
    """From bytes to answers, and what nobody needs any more out of the lock. Fails where it is refused."""
    route_to(place, client, number, install(place, number))


def route_to(place: Path, client: httpx.Client, number: int, pin: Pin) -> None:
    """A version whose bytes are in the registry."""
    lock_file = LockFile(place / "models.lock.toml")
    lock_file.pin(pin)
    order = {"do": "set", "stable": f"s{number}", "wait_s": SWAP_WITHIN_S}
    made = client.post("/admin/routes/payments", json=order)
    assert made.status_code == 200 and not made.json()["pending"], made.text
    unpin(lock_file, {"1", "2", *(f"s{old}" for old in range(number - KEPT_PINS + 1))})


def unpin(lock_file: LockFile, versions: set[str]) -> None:
    """Takes versions of `payments` out of the lock."""
    with exclusively(lock_file.path):
        kept = tuple(pin for pin in lock_file.read().pins if pin.name != "payments" or pin.version not in versions)
        replace_durably(lock_file.path, Lock(kept).encode().encode())


def follow_orders(place: Path, url: str, orders: IO[str], told: IO[str]) -> None:
    """A number a line, after a version that is ready; when its swap began and ended, on the clock that all processes share."""
    pin = install(place, 0)
    with admin(url) as client:
        for number, line in enumerate(orders):
            assert int(line) == number
            begun_s = time.perf_counter()
            route_to(place, client, number, pin)
            told.write(json.dumps([begun_s, time.perf_counter()]) + "\n")
            told.flush()
            pin = install(place, number + 1)


@contextmanager
def swapper(place: Path, url: str) -> Iterator["subprocess.Popen[str]"]:
    """Swaps in a process behind the driver, on its core: the driver's requests must not be late of it."""
    argv = [sys.executable, "-m", "tests.promises.swaps", "--follow", str(place), url]
    with subprocess.Popen(
        argv,
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        step_back(child.pid)
        try:
            yield child
        finally:
            child.kill()


# --- the measurement ----------------------------------------------------------------------------------------------


def measure(place: Path, swaps: int, share: float) -> Found:
    """All rounds over one empty home."""
    with served(place, workers=WORKERS, PLUMBLINE_ADMIN_TOKEN=TOKEN) as (service, url):
        wait_until(lambda: len(workers_of(service)) == WORKERS, 60, "all workers")
        pids = (service.pid, *service.descendants())
        for pid in pids:  # and the trials that they will start
            psutil.Process(pid).cpu_affinity([SERVER_CORE])
        step_forward(pids)
        target = Target.of(f"{url}{PATH}", [payments_body()])
        found = Found(share)
        os.sched_setaffinity(0, {DRIVER_CORE})  # off the workers' core, as is who swaps
        with swapper(place, url) as child, forward():
            rate_per_s = FIRST_RATE_PER_S
            for number in range(-WARM_ROUNDS, round(ROUNDS_MAX * swaps)):
                # of this moment: others may use the machine
                rate_per_s = rate_for(share, target, service, near_per_s=rate_per_s, connections=CONNECTIONS)
                seen = _round(target, rate_per_s, child, number + WARM_ROUNDS)
                if number < 0:
                    continue
                found.rates_per_s.append(rate_per_s)
                if number % max(1, swaps // 3) == 0:
                    found.memory_mib.append(_memory_mib(service))
                _add(found, seen)
                if len(found.during) == swaps:
                    break
        found.memory_mib.append(_memory_mib(service))
    return found


class Round(NamedTuple):
    """The requests of a round, from when to when its swap was, and how long the host stopped this machine; seconds."""

    samples: Samples
    begun_s: float
    ended_s: float
    stolen_s: float


def _round(target: Target, rate: float, child: "subprocess.Popen[str]", number: int) -> Round:
    assert child.stdin is not None and child.stdout is not None
    due_s = arrivals(rate, ROUND_S, seed=number + 1)
    stdin = child.stdin

    def order() -> None:
        stdin.write(f"{number}\n")
        stdin.flush()

    timer = threading.Timer(QUIET_S, order)
    before_s, start_s = stolen_s(), time.perf_counter()
    timer.start()
    samples = drive(target, due_s, connections=CONNECTIONS, grace_s=10)
    taken_s = stolen_s() - before_s
    timer.join()
    begun_s, ended_s = json.loads(child.stdout.readline())
    return Round(samples, begun_s - start_s, ended_s - start_s, taken_s)


def _add(found: Found, seen: Round) -> None:
    samples, begun_s, ended_s, taken_s = seen
    good = samples.status == 200
    found.swaps += 1
    found.answered += int(good.sum())
    found.failed += int((~good).sum())
    found.statuses.update(samples.status.tolist())
    found.took_s.append(ended_s - begun_s)
    if taken_s > SOME_S:
        found.disturbed += 1
        return
    found.between.append(samples.between(0.0, begun_s).latency_ms)
    found.during.append(samples.between(begun_s, min(ended_s, ROUND_S)).latency_ms)


def _memory_mib(service: Process) -> float:
    return sum(psutil.Process(pid).memory_info().rss for pid in workers_of(service)) / MIB


@click.command()
@click.option("--swaps", default=50, show_default=True)
@click.option(
    "--share", default=SHARE, show_default=True, help="Of the time the workers are busy; less on a busy machine."
)
@click.option("--follow", nargs=2, default=None, hidden=True, help="PLACE URL: this process swaps as it is told.")
def main(swaps: int, share: float, follow: Sequence[str] | None) -> None:
    """Measures and prints what held."""
    if follow is not None:
        follow_orders(Path(follow[0]), follow[1], sys.stdin, sys.stdout)
        return
    with tempfile.TemporaryDirectory(prefix="plumbline-swaps-") as folder:
        found = measure(home(Path(folder)), swaps, share)
    click.echo("\n".join(found.lines()))
    raise SystemExit(not found.held)


if __name__ == "__main__":
    main()
