"""How does a test see the workers of a service, and what they logged?"""

from collections.abc import Iterator
from pathlib import Path

import psutil

from service.featurelog.framing import Frame, scan
from service.featurelog.reader import LogReader
from service.featurelog.record import Outcome, Payload, Request, Seal, decode
from tests.processes import Process


def workers_of(service: Process) -> list[int]:
    """The pids of the service's worker processes."""
    return [pid for pid in service.descendants() if _is_worker(pid)]


def _is_worker(pid: int) -> bool:
    try:
        return "_bentoml_impl.worker.service" in psutil.Process(pid).cmdline()
    except psutil.NoSuchProcess:
        return False


def running(pid: int) -> bool:
    """Whether this process has not ended; one that nobody has reaped has."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def requests_in(root: Path) -> Iterator[Request]:
    """Every request in a feature log."""
    reader = LogReader(root)
    while True:
        chunk = reader.read(10_000)
        for run in chunk.runs:
            yield from (record for _, record in run.records if isinstance(record, Request))
        if chunk.caught_up:
            return


def unsealed(root: Path) -> list[str]:
    """The segments of a feature log whose last frame is no seal."""
    found = [path for path in root.glob("*/*.seg") if not isinstance(_last(path), Seal)]
    return [str(path.relative_to(root)) for path in found]


def _last(path: Path) -> Payload | None:
    *_, last = scan(path.read_bytes())
    return decode(last.payload) if isinstance(last, Frame) else None


def answered_ids(root: Path) -> Iterator[str]:
    """Of every request that the log says was answered."""
    return (record.request_id for record in requests_in(root) if record.outcome is Outcome.ANSWERED)
