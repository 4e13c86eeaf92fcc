"""kill -9, at random moments, of the writer's process, of a worker, of the monitor, of everything; all under load."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from tests.load import Load
from tests.processes import ROOT, Process, answers, environment, free_port, home, plumbline, served, wait_until
from tests.promises.faults.row import Row, Tally
from tests.workers import requests_in, workers_of

WORKERS, CLIENTS = 2, 4
MORE_KILLS_MAX = 20  # until one hits a request: each does with about one half
LINES_MAX = 1_000  # acknowledgements before a kill: several segments
WRITER = "tests.unit.service.featurelog.acknowledging"


def writer_killed(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """The log's writer alone, with no server around it."""
    tally, told = Tally(), []
    for kill in range(repetitions):
        told += _killed_after(folder / "log", kill * 1_000_000, dice.randrange(1, LINES_MAX))
    tally.add_log(told, folder / "log", "after all kills", repetitions)
    return tally


def _killed_after(root: Path, first: int, lines: int) -> list[str]:
    """What a writer acknowledged until it was killed, soon after so many."""
    argv = [sys.executable, "-m", WRITER, str(root), str(first)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT, bufsize=0)
    assert process.stdout is not None
    with process.stdout as stdout:
        said = b""
        while said.count(b"\n") < lines and (part := stdout.read(4096)):
            said += part
        process.send_signal(signal.SIGKILL)
        said += stdout.read()
        process.wait()
    return said.decode().splitlines()


def worker_killed(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """One of two workers; the supervisor starts another. Goes on until a kill has hit a request."""
    place, tally, kills = home(folder), Tally(), 0
    with served(place, workers=WORKERS) as (service, url):
        load = Load(f"{url}/v1/models/payments:predict", CLIENTS)
        with load.running():
            while kills < repetitions or (not load.broken and kills < repetitions + MORE_KILLS_MAX):
                wait_until(lambda: len(workers_of(service)) == WORKERS, 60, "all workers there")
                _more(load, dice)
                psutil.Process(dice.choice(workers_of(service))).kill()
                kills += 1
        service.terminate()
    tally.add_log(load.answered, place / "log", "after all kills", kills)
    tally.expect(load.broken > 0, "no kill hit a request: the row shows nothing")
    return tally


def monitor_killed(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """The monitor counts each record of the log once, however often it dies; the service never notices."""
    place, tally = home(folder), Tally()
    (place / "plumbline.toml").write_text("[monitor]\npoll_interval_s = 0.05\ncheckpoint_interval_s = 0.2\n")
    with served(place) as (service, url):
        load = Load(f"{url}/v1/models/payments:predict", CLIENTS)
        with load.running():
            for _ in range(repetitions):
                with _monitor(place) as (monitor, _):
                    _more(load, dice)
                    monitor.kill()
        service.terminate()
    with _monitor(place) as (_, status):
        counted = wait_until(lambda: _caught_up(status), 60, "the monitor has read everything")
    written = sum(1 for _ in requests_in(place / "log"))
    tally.injections, tally.acknowledged, tally.found = repetitions, written, counted
    tally.lost, tally.duplicated = max(0, written - counted), max(0, counted - written)
    tally.note = "records of the log / counted by the monitor"
    tally.expect(load.broken == 0, f"{load.broken} requests broke")
    return tally


@contextmanager
def _monitor(place: Path) -> Iterator[tuple[Process, str]]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Process(plumbline("monitor", "--home", place, "--monitor-port", port), env=environment()) as monitor:
        monitor.wait_until(lambda: answers(f"{url}/healthz"), 60, "monitor ready")
        yield monitor, f"{url}/api/status"


def _caught_up(status: str) -> int | None:
    said = httpx.get(status, timeout=5, trust_env=False).json()
    if not said["log"]["caught_up"] or said["log"]["lag_bytes"]:
        return None
    arms = [arm for version in said["versions"] for arm in version["arms"]] + said["unrouted"]
    return sum(sum(arm["requests"].values()) for arm in arms)


def everything_killed(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """Supervisor, workers and monitor at once, by process group; then all are started again on the same home."""
    place, tally, told = home(folder), Tally(), []
    for kill in range(repetitions):
        with ExitStack() as stack:
            service, url = stack.enter_context(served(place, workers=WORKERS))
            monitor, _ = stack.enter_context(_monitor(place))
            load = Load(f"{url}/v1/models/payments:predict", CLIENTS, name=f"kill{kill}-client")
            with load.running():
                _more(load, dice)
                for group in (service.pid, monitor.pid):
                    with suppress(ProcessLookupError):
                        os.killpg(group, signal.SIGKILL)
            told += load.answered
        tally.injections += 1
    tally.add_log(told, place / "log", "after all kills", 0)
    return tally


def _more(load: Load, dice: random.Random) -> None:
    """Waits for a random number of further answers."""
    wanted = len(load.answered) + dice.randint(20, 200)
    wait_until(lambda: len(load.answered) >= wanted, 60, "answers before the next kill")


ROWS = (
    Row("kill -9 of the writer", "at a random record", writer_killed, repetitions=100, few=3),
    Row("kill -9 of a worker", "at a random answer, 2 workers, 4 clients", worker_killed, 100, 2, serves=True),
    Row("kill -9 of the monitor", "at a random answer", monitor_killed, 100, 2, serves=True),
    Row("kill -9 of everything", "service and monitor, then started again", everything_killed, 100, 1, serves=True),
)
