"""Every version that must never be served is offered to a running worker: `python -m tests.promises.hostile`.

Each is registered, pinned and made stable through the files, as somebody with write access to the home could. What is looked
at: it is refused with its reason; not one answer of the version before fails or comes from another; the worker's memory.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import psutil

from models.durable import replace_durably
from models.lock import Pin
from models.lock_file import LockFile
from models.manifest import MODEL
from models.registry import Registry
from service.routes_document import ModelRoutes
from service.routes_file import RoutesFile
from tests.hostile.table import TABLE, Hostile
from tests.load import Load
from tests.onnx_models import mixed, mixed_contract
from tests.processes import Process, served, wait_until

MIB = 1 << 20
TRIAL_S_MAX = 110
REFUSED_WITHIN_S = TRIAL_S_MAX + 20.0  # half a second; where it does not end its whole CPU time, behind all who serve
GROWN_MIB_MAX = 16  # of the worker, after all of them; the pages that a hundred swaps leave between others
LIMITS = {
    "PLUMBLINE_TRIAL_CPU_S_MAX": "5",
    "PLUMBLINE_TRIAL_S_MAX": str(TRIAL_S_MAX),
    "PLUMBLINE_TRIAL_MEMORY_BYTES_MAX": str(512 * MIB),
}
FLIPPED = 8  # bits, one version each


@dataclass(frozen=True)
class Figures:
    """What was seen."""

    offered: int
    answered: int
    before_mib: float
    after_mib: float
    most_mib: float
    unwanted: tuple[str, ...]

    def __str__(self) -> str:
        memory = f"worker {self.before_mib:.0f} MiB before, {self.most_mib:.0f} at most, {self.after_mib:.0f} after"
        rest = "; ".join(self.unwanted) or "nothing else"
        return f"{self.offered} offered, {self.answered} answers of version 1 meanwhile; {memory}; {rest}"


def offer(place: Path, table: Sequence[Hostile], *, flipped: int = FLIPPED) -> Figures:
    """Offers each to a worker on this empty home, and so many versions of which a bit changed after they were registered."""
    limits = {**LIMITS, "PLUMBLINE_TRIALS_DIR": str(place / "trials")}
    with served(place, **limits) as (process, url):
        worker = _worker(process)
        load = Load(f"{url}/v1/models/payments:predict", clients=1)
        base = LockFile(place / "models.lock.toml").read()
        with load.running():
            wait_until(lambda: len(load.answered) > 200, 30, "answers")
            most = before = worker.memory_info().rss
            unwanted = []
            for number, hostile in enumerate(table):
                pin = _install(place, f"h{number}", hostile.files())
                found = _offered(place, url, base.with_pin(pin).encode(), pin)
                unwanted += [] if hostile.expected in found else [f"{hostile.name}: {found}"]
                most = max(most, worker.memory_info().rss)
            for number in range(flipped):
                pin = _install(
                    place, f"f{number}", {MODEL: mixed(number + 1.0), "contract.json": mixed_contract().encode()}
                )
                _flip(Registry(place / "registry").place(pin.digest) / MODEL, number)
                found = _offered(place, url, base.with_pin(pin).encode(), pin)
                unwanted += [] if "lock pins sha256" in found else [f"bit {number}: {found}"]
            answered = len(load.answered)
            wait_until(lambda: worker.memory_info().rss - before < GROWN_MIB_MAX * MIB, 10, "memory given back")
            after = worker.memory_info().rss
        others = load.statuses.total() - load.statuses[200] + load.versions.total() - load.versions["1"]
        unwanted += (
            [f"{others + load.broken + load.refused} other answers"] if others + load.broken + load.refused else []
        )
        return Figures(len(table) + flipped, answered, before / MIB, after / MIB, most / MIB, tuple(unwanted))


def _worker(process: Process) -> psutil.Process:
    return max(map(psutil.Process, process.descendants()), key=lambda one: one.memory_info().rss)


def _install(place: Path, version: str, files: dict[str, bytes]) -> Pin:
    digest = Registry(place / "registry").install(files)
    return Pin(name="payments", version=version, digest=digest, source=f"file:{place / 'registry'}")


def _offered(place: Path, url: str, lock: str, pin: Pin) -> str:
    """Pinned, made stable; the sentence that refuses it."""
    replace_durably(place / "models.lock.toml", lock.encode())
    file = RoutesFile(place / "routes.toml")
    present = file.read()
    file.swap(present.generation, present.with_model(pin.name, ModelRoutes(stable=pin.version)))

    def sentence() -> str | None:
        told = msgspec.json.decode(httpx.get(f"{url}/readyz", trust_env=False, timeout=10).content)["problems"]
        return next((problem for problem in told if problem.startswith(f"{pin.ref}: ")), None)

    return wait_until(sentence, REFUSED_WITHIN_S, f"{pin.ref} refused")


def _flip(path: Path, number: int) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) * number // FLIPPED] ^= 1 << number
    path.write_bytes(data)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        print(offer(Path(directory), TABLE))
