"""Does memory stay flat: service, monitor and archive under a steady load, resident memory by time, a slope with its interval.

    python -m tests.promises.soak --minutes 15
    python -m tests.promises.soak --minutes 2 --leak     the control: a monitor that keeps 2 KiB a record, which must be caught

The slope is Theil and Sen's over the medians of blocks of the run after its first third, in MiB a minute, with its 95 %
interval. A process leaks where the whole interval lies above TOLERATED_MIB_A_MINUTE: what the monitor's windows grow by until
they are full is a tenth of that. Exit code 1 where a process leaks, with --leak where none does.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
from scipy.stats import theilslopes

from service.featurelog.floors import load_manifest
from tests.processes import Process, answers, environment, free_port, plumbline, served
from tests.requests import payments_body

REQUESTS_A_S = 100
LOOK_S = 0.5
BLOCKS = 12
TOLERATED_MIB_A_MINUTE = 1.0
MIB = 1 << 20
SETTINGS = {
    "PLUMBLINE_LOG_SEGMENT_AGE_S_MAX": "5",  # segments are sealed, archived, merged and let go all the time
    "PLUMBLINE_LOG_RAW_BYTES_MAX": str(1 * MIB),
    "PLUMBLINE_MONITOR_ARCHIVE_INTERVAL_S": "10",
    "PLUMBLINE_MONITOR_CHECKPOINT_INTERVAL_S": "1",
}


class Line(NamedTuple):
    """One kind of process: MiB at the beginning and end of what is judged, slope and interval in MiB a minute."""

    role: str
    first: float
    last: float
    slope: float
    low: float
    high: float

    @property
    def leaks(self) -> bool:
        return self.low > TOLERATED_MIB_A_MINUTE


def main() -> int:
    """Runs, prints, judges."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="plumbline-soak-") as folder:
        place = Path(folder)
        seen, sent = _soak(place, arguments.minutes * 60, leak=arguments.leak)
        manifest = load_manifest(place / "archive")
    lines = [line_of(role, samples) for role, samples in sorted(seen.items())]
    print(f"{'process':<14}{'MiB first':>10}{'last':>8}{'a minute':>10}   95 % interval")
    for line in lines:
        word = "LEAKS" if line.leaks else "flat"
        interval = f"{line.low:.2f} … {line.high:.2f}"
        print(f"{line.role:<14}{line.first:>10.1f}{line.last:>8.1f}{line.slope:>10.2f}   {interval}  {word}")
    segments = sum(account.segments for account in manifest.accounts.values())
    print(
        f"{sent} requests; {segments} segments archived, {manifest.let_go.segments} let go, {len(manifest.files)} files"
    )
    leaking = [line.role for line in lines if line.leaks]
    if arguments.leak:
        print("the planted leak was found" if "monitor" in leaking else "the planted leak was NOT found")
        return 0 if "monitor" in leaking else 1
    return 1 if leaking or not segments else 0


def line_of(role: str, samples: list[tuple[float, float]]) -> Line:
    """`samples`: (seconds, MiB) in order."""
    judged = samples[len(samples) // 3 :]
    size = max(1, len(judged) // BLOCKS)
    blocks = [judged[start : start + size] for start in range(0, size * BLOCKS, size)]
    points = [
        (statistics.median(s for s, _ in block), statistics.median(m for _, m in block)) for block in blocks if block
    ]
    minutes, mib = [seconds / 60 for seconds, _ in points], [value for _, value in points]
    slope, _, low, high = theilslopes(mib, minutes, 0.95)
    return Line(role, mib[0], mib[-1], float(slope), float(low), float(high))


def _soak(place: Path, duration_s: float, *, leak: bool) -> tuple[dict[str, list[tuple[float, float]]], int]:
    port = free_port()
    module = "tests.promises.leaking" if leak else "plumbline"
    monitor_command = [sys.executable, "-m", module, *plumbline("monitor", "--home", place, "--monitor-port", port)[3:]]
    seen: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with (
        served(place, **SETTINGS) as (service, url),
        Process(monitor_command, env=environment(**SETTINGS)) as monitor,
    ):
        monitor.wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), 60, "monitor ready")
        with _load(f"{url}/v1/models/payments:predict") as (stop, sent):
            begun_s = time.monotonic()
            while time.monotonic() - begun_s < duration_s and not stop.wait(LOOK_S):
                for role, mib in _resident(service.pid, monitor.pid):
                    seen[role].append((time.monotonic() - begun_s, mib))
    return seen, len(sent)


def _resident(service: int, monitor: int) -> Iterator[tuple[str, float]]:
    """The monitor without its passes, the service's supervisor, and all its workers together."""
    yield "monitor", psutil.Process(monitor).memory_info().rss / MIB
    yield "supervisor", psutil.Process(service).memory_info().rss / MIB
    workers = 0
    for child in psutil.Process(service).children(recursive=True):
        try:
            workers += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    yield "workers", workers / MIB


@contextmanager
def _load(url: str) -> Iterator[tuple[threading.Event, list[int]]]:
    """One request each 1 / REQUESTS_A_S s while the block lasts; the event is set where a request failed."""
    stop, failed, sent = threading.Event(), threading.Event(), []
    body = payments_body()

    def run() -> None:
        due_s = time.monotonic()
        with httpx.Client(trust_env=False, timeout=10) as client:
            while not stop.wait(max(0.0, due_s - time.monotonic())):
                due_s += 1 / REQUESTS_A_S
                status = client.post(url, content=body).status_code
                sent.append(status)
                if status != 200:
                    print(f"soak: a request was answered {status}")
                    failed.set()
                    return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield failed, sent
    finally:
        stop.set()
        thread.join()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--leak", action="store_true", help="the control run")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
