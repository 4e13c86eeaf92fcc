"""How does a test run real processes, and when has something become true?

Laws
- Nothing outlives its `with`: leaving it ends the process and everything that it started, by process group.
- Nobody sleeps a guess: `wait_until` looks again until the condition holds or the deadline names what did not happen.
- Only processes started here are ever signalled.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import SystemRandom
from types import TracebackType
from typing import Literal, Self, TypeVar

import httpx
import psutil

ROOT = Path(__file__).resolve().parent.parent
# Where versions were tried: shared by all homes of one run, in which the same small models come again and again.
_trials = tempfile.TemporaryDirectory(prefix="plumbline-trials-", ignore_cleanup_errors=True)
TRIALS = Path(_trials.name)
LOOK_AGAIN_S = 0.02  # short beside any deadline, long beside the cost of a look
OUTPUT_TAIL_CHARS = 4_000  # enough for a traceback and the lines before it
READY_DEADLINE_S = 90.0  # about 4 s on a quiet machine
# A BentoML supervisor with two workers takes about 2 s; a loaded machine several times that.
TERMINATE_DEADLINE_S = 15.0

FIRST_PORT = 12_000
_chance = SystemRandom()  # no seed of a test or of a plugin gives two processes the same port
T = TypeVar("T")


def free_port() -> int:
    """A loopback port on which nobody listens, below those that the kernel gives to whoever connects: it stays free until its
    server has it.
    """
    while True:
        port = _chance.randrange(FIRST_PORT, _connecting_from())
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _connecting_from() -> int:
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])


def wait_until(condition: Callable[[], T | Literal[False] | None], deadline_s: float, what: str) -> T:
    """The first truthy value of `condition`; AssertionError naming `what` after `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    while True:
        if value := condition():
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"{what}: not so within {deadline_s:g} s")
        time.sleep(LOOK_AGAIN_S)


@contextmanager
def heard(number: signal.Signals) -> Iterator[None]:
    """Children hear this signal also where the run ignores it and they would inherit that: below `nohup`, in the background."""
    before = signal.getsignal(number)
    usual = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
    signal.signal(number, usual)
    try:
        yield
    finally:
        signal.signal(number, before)


def answers(url: str, status: int = 200) -> bool:
    """Whether a GET of `url` is answered with `status` just now; no answer is no."""
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == status
    except httpx.HTTPError:
        return False


def home(tmp_path: Path) -> Path:
    """A fresh, empty home directory for `--home`."""
    place = tmp_path / "home"
    place.mkdir()
    return place


def plumbline(*arguments: str | Path | int) -> list[str]:
    """The argv of the `plumbline` command in this interpreter."""
    return [sys.executable, "-m", "plumbline", *map(str, arguments)]


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without any PLUMBLINE_ or BENTOML_ setting of the caller's, with TRIALS, plus `changes`."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PLUMBLINE_", "BENTOML_"))}
    return {
        **clean,
        "BENTOML_DO_NOT_TRACK": "True",
        "PYTHONUNBUFFERED": "1",
        "PLUMBLINE_TRIALS_DIR": str(TRIALS),
        **changes,
    }


@contextmanager
def served(place: Path, *, workers: int = 1, **changes: str) -> Iterator[tuple["Process", str]]:
    """A ready `plumbline serve` over the home `place` and its URL; `changes` go to its environment. No balancer: no drain."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    serve = plumbline("serve", "--home", place, "--port", port, "--workers", workers)
    with Process(serve, env=environment(**{"PLUMBLINE_DRAIN_S": "0", **changes})) as process:
        process.wait_until(lambda: answers(f"{url}/readyz"), READY_DEADLINE_S, "service ready")
        yield process, url


class Process:
    """A child process in a group of its own, its stdout and stderr together in one file.

    `env` is the whole environment (default: `environment()`); `cwd` defaults to the project's root.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        output: Path | None = None,
    ) -> None:
        self.argv = [str(word) for word in argv]
        self._env = dict(environment() if env is None else env)
        self._cwd = cwd
        self._output = output
        self._popen: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if self._output is None:
            handle, name = tempfile.mkstemp(prefix="plumbline-test-", suffix=".out")
            os.close(handle)
            self._output = Path(name)
        with self._output.open("ab") as sink:
            self._popen = subprocess.Popen(
                self.argv,
                env=self._env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own: ending it reaches its children and nobody else's
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.terminate()
        self._end_group()
        if error is not None:
            error.add_note(f"--- output of {' '.join(self.argv)} (pid {self.pid})\n{self.tail()}")

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise RuntimeError(f"{self.argv[0]}: not started, expected to be used in a with statement")
        return self._popen

    @property
    def pid(self) -> int:
        return self._started.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; minus the signal's number where a signal ended it."""
        return self._started.poll()

    def alive(self) -> bool:
        return self._started.poll() is None

    def output(self) -> str:
        """Everything it wrote so far to stdout and stderr."""
        return self._output.read_text(errors="replace") if self._output else ""

    def tail(self) -> str:
        return self.output()[-OUTPUT_TAIL_CHARS:]

    def descendants(self) -> list[int]:
        """The pids of its children and theirs, now."""
        try:
            return [child.pid for child in psutil.Process(self.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def wait_until(self, condition: Callable[[], T | Literal[False] | None], deadline_s: float, what: str) -> T:
        """Like `wait_until`, but gives up at once, with the output, when the process ends before."""

        def holds() -> T | Literal[False] | None:
            value = condition()
            if not value and not self.alive():
                raise AssertionError(f"{what}: the process ended with {self.returncode}\n{self.tail()}")
            return value

        return wait_until(holds, deadline_s, what)

    def wait(self, deadline_s: float) -> int:
        """Its exit code; subprocess.TimeoutExpired after `deadline_s`."""
        return self._started.wait(deadline_s)

    def signal(self, number: signal.Signals) -> None:
        """Sends to the process alone; nothing where it has already ended."""
        if self.alive():
            os.kill(self.pid, number)

    def terminate(self, deadline_s: float = TERMINATE_DEADLINE_S) -> int:
        """SIGTERM to the process alone, then its exit code; subprocess.TimeoutExpired after `deadline_s`."""
        self.signal(signal.SIGTERM)
        return self.wait(deadline_s)

    def interrupt(self, deadline_s: float = TERMINATE_DEADLINE_S) -> int:
        """SIGINT to the whole group, as Ctrl-C in a terminal does, then its exit code."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGINT)
        return self.wait(deadline_s)

    def kill(self) -> None:
        """SIGKILL to the process alone: its children stay, as after a real kill -9."""
        self.signal(signal.SIGKILL)
        self.wait(TERMINATE_DEADLINE_S)

    def _end_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._started.wait(TERMINATE_DEADLINE_S)
