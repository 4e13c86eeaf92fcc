"""Which versions were tried on this machine, and what did the trial say? Tries what was not, in a process of its own.

Laws
- Nothing of a version that was not tried, or was refused, is parsed, loaded or run in this process; its bytes are only hashed
  and handed over.
- Verdicts are kept by digest below `root`: the next start asks nobody. Who can write there can vouch for a version.
- Its process stands behind those that serve from its first instruction: most of its time goes into its imports.
- One trial at a time for all who share `root`: several workers wait for one verdict, and never use the memory of two.
- However a trial ends (crash, limits, silence), it has a verdict within `wall_s` and what a process takes to end.
"""

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from threading import Timer
from typing import IO

import msgspec

import models
from models.confined import ANSWER_BYTES_MAX, Order
from models.durable import Stamp, exclusively, replace_durably, stamp
from models.errors import UNDECODABLE, Reason
from models.inspect import RULES
from models.packed import pack
from models.precedence import step_back, step_up
from models.tensors import Array
from models.verdict import Limits, Refusal, Verdict

_ROOT = Path(models.__file__).parent.parent
_LATE_S = 5.0  # after its own alarm; where the process could not set it, or was stopped
_LAST_WORDS_CHARS = 300
PATIENCE_S = 2.0  # for which a trial has only what nobody else wants of the machine
# One loads a small version within that; on a machine that has cores for all a third of a second is lost.
ASIDE_S, ASIDES = 0.04, 8
REHEARSED_FOR_S = 60.0  # the workers of a service load a version within seconds of each other
_SIGNALS_OF_SOMEBODY = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_SIGNALS_OF_TIME = {signal.SIGXCPU: "more than {cpu_s} s of CPU time", signal.SIGALRM: "no answer within {wall_s:g} s"}


class Trials:
    """The verdicts in a directory, made where they are missing."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self.root, self._limits = root, limits
        self._surroundings = surroundings()

    def admit(self, digest: str, ref: str, files: Mapping[str, bytes]) -> None:
        """Returns when the version may be loaded; blocks for a trial where there is no verdict. Raises ArtifactRefused."""
        verdict = self.known(digest)
        if verdict is None:
            with exclusively(self.root / "trial"):
                told = self.known(digest)
                verdict = told or self._hold(digest, ref, files)
            if told is not None:
                _step_aside()
        if verdict.refusal is not None:
            raise verdict.refusal.error(ref)

    def refuse_known(self, digest: str, ref: str) -> None:
        """Raises ArtifactRefused where it was tried and refused: its bytes need not even be read."""
        verdict = self.known(digest)
        if verdict is not None and verdict.refusal is not None:
            raise verdict.refusal.error(ref)

    def known(self, digest: str) -> Verdict | None:
        """The verdict that still holds."""
        try:
            verdict = msgspec.json.decode(self._place(digest).read_bytes(), type=Verdict)
        except (OSError, *UNDECODABLE):
            return None  # not there, or half of a file of another make: tried again
        return verdict if verdict.holds(digest, self._surroundings, self._limits, time.time()) else None

    def stamp(self) -> Stamp:
        """Changes when a verdict is new."""
        return stamp(self.root)

    def attempt(self, ref: str, files: Mapping[str, bytes]) -> None:
        """A trial whose verdict is not kept: of what has no digest yet. Raises ArtifactRefused."""
        if (refusal := run(ref, files, self._limits)) is not None:
            raise refusal.error(ref)

    def rehearse(
        self, digest: str, ref: str, files: Mapping[str, bytes], requests: Sequence[Mapping[str, Array]]
    ) -> Refusal | None:
        """What came of running these, apart from failed runs; where it went well others who share `root` need not do it too."""
        place = self.root / f"{digest.replace(':', '-')}.rehearsed"
        with exclusively(self.root / "trial"):
            with suppress(OSError):
                if 0 <= time.time() - place.stat().st_mtime < REHEARSED_FOR_S:
                    return None
            refusal = run(ref, files, self._limits, pack(requests))
            if refusal is not None:
                return msgspec.structs.replace(refusal, where=", rehearsal of recorded requests")
            with suppress(OSError):  # a full disk: the next one rehearses too
                place.touch()
        return None

    def _hold(self, digest: str, ref: str, files: Mapping[str, bytes]) -> Verdict:
        begun_s = time.monotonic()
        refusal = run(ref, files, self._limits)
        verdict = Verdict(
            digest=digest,
            surroundings=self._surroundings,
            limits=self._limits,
            at_s=round(time.time(), 3),
            took_s=round(time.monotonic() - begun_s, 3),
            refusal=refusal,
        )
        with suppress(OSError):  # a full disk: the verdict stands, and the next start tries again
            replace_durably(self._place(digest), msgspec.json.encode(verdict) + b"\n")
        return verdict

    def _place(self, digest: str) -> Path:
        return self.root / f"{digest.replace(':', '-')}.json"


def _step_aside() -> None:
    """All who waited for a verdict wake in one moment: they load one after another, as far as their numbers differ.

    Two workers of a core that did so at once kept it from their requests for 40 ms: p99 in a swap × 1.6, and × 1.1 like this.
    """
    time.sleep(ASIDE_S * (1 + os.getpid() % ASIDES))


def run(ref: str, files: Mapping[str, bytes], limits: Limits, requests: bytes = b"") -> Refusal | None:
    """One trial, or a rehearsal of packed requests, in a process of its own; None when the version passed."""
    sizes = {name: len(data) for name, data in files.items()}
    order = Order(ref=ref, limits=limits, files=sizes, requests_bytes=len(requests))
    with _scratch() as answer, _scratch() as noise:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "models.rehearsing" if requests else "models.trying"],
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=noise,
            cwd="/",
            env=_environment(),
            start_new_session=True,
        )
        step_back(child.pid)
        watch, patience = Timer(limits.wall_s + _LATE_S, child.kill), Timer(PATIENCE_S, step_up, [child.pid])
        for timer in (watch, patience):
            timer.daemon = True
            timer.start()
        try:
            _hand_over(child, order, [*files.values(), requests])
            code = child.wait()
        finally:
            watch.cancel()
            patience.cancel()
            child.kill()
            child.wait()
        return _verdict(code, _read(answer), _read(noise).decode(errors="replace"), limits)


def _scratch() -> IO[bytes]:
    """A file in memory, so that a full disk refuses no version; the kernel holds the child to ANSWER_BYTES_MAX of it."""
    return open(os.memfd_create("trial"), "w+b")  # noqa: PTH123


def _hand_over(child: "subprocess.Popen[bytes]", order: Order, parts: Sequence[bytes]) -> None:
    """One that ended before it read all has a reason, which its exit tells."""
    assert child.stdin is not None
    with suppress(BrokenPipeError), child.stdin as pipe:
        pipe.write(msgspec.json.encode(order) + b"\n")
        for data in parts:
            pipe.write(data)


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(ANSWER_BYTES_MAX)


def _verdict(code: int, answer: bytes, noise: str, limits: Limits) -> Refusal | None:
    words = noise.strip().splitlines()
    last = words[-1][:_LAST_WORDS_CHARS] if words else "without a word"
    if code == 0:
        try:
            return msgspec.json.decode(answer, type=Refusal | None)
        except UNDECODABLE:
            return Refusal.of(Reason.CRASH, ", trial", f"an answer that is none, {last}", "a verdict")
    if code < 0:
        return _ended_by(signal.Signals(-code), last, limits)
    if "MemoryError" in last or "bad_alloc" in last:
        return Refusal.of(Reason.MEMORY, ", trial", last, "no more than trial_memory_bytes_max")
    return Refusal.of(Reason.CRASH, ", trial", f"exit code {code}, {last}", "a verdict")


def _ended_by(number: signal.Signals, last: str, limits: Limits) -> Refusal:
    told = msgspec.structs.asdict(limits)
    if (text := _SIGNALS_OF_TIME.get(number)) is not None:
        return Refusal.of(Reason.TIME, ", trial", text.format(**told), "answers within trial_cpu_s_max and trial_s_max")
    if number in _SIGNALS_OF_SOMEBODY:
        return Refusal.of(
            Reason.INTERRUPTED,
            ", trial",
            f"{number.name} from outside",
            "its end; it is tried again at the next start or change",
        )
    if "bad_alloc" in last:
        return Refusal.of(Reason.MEMORY, ", trial", last, "no more than trial_memory_bytes_max")
    if number == signal.SIGKILL:
        found = "SIGKILL: the machine had no memory left, or someone ended it"
        return Refusal.of(Reason.MEMORY, ", trial", found, "no more than trial_memory_bytes_max")
    return Refusal.of(Reason.CRASH, ", trial", f"{number.name} in the runtime, {last}", "answers")


def _environment() -> dict[str, str]:
    """None of this process's secrets; one thread and one heap, whose address space is what RLIMIT_AS counts."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    return {**kept, **threads, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8"}


def surroundings() -> str:
    """What a verdict depends on beside the bytes and the limits."""
    runtime = f"onnxruntime {version('onnxruntime')}, onnx {version('onnx')}"
    return f"rules {RULES}; {runtime}; {platform.machine()} {_processor()}"


def _processor() -> str:
    """A crash may be one of this processor's instructions alone."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
