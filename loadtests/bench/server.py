"""How is a system started on its cores, asked once, and ended again with everything it started?

Law: only processes that were started here are signalled, by their ids: the server, what descends from it, and the group that
was made for it.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from loadtests.precedence import NICE, step_forward

READY_DEADLINE_S = 120  # Ray's first start on a busy machine has been seen to take 40 s
END_DEADLINE_S = 20
LOOK_AGAIN_S = 0.05
TAIL_CHARS = 2_000


class SystemUnfit(Exception):
    """A system did not start or did not answer as it must. What it wrote says why."""

    def __init__(self, name: str, found: str, expected: str, output: str) -> None:
        super().__init__(name, found, expected, output)
        self.name, self.found, self.expected, self.output = name, found, expected, output

    def __str__(self) -> str:
        tail = self.output[-TAIL_CHARS:]
        return f"{self.name}: found {self.found}, expected {self.expected}; it is not measured\n{tail}".rstrip()


def free_port() -> int:
    """A loopback port that the kernel says is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def pinned(cores: str, argv: Sequence[str]) -> list[str]:
    """The command on these cores only (`0`, `0,1`); before the rest of the machine, where this user may say so."""
    before_others = ["nice", "-n", str(NICE)] if os.geteuid() == 0 else []
    return [*before_others, "taskset", "-c", cores, *argv]


@contextmanager
def running(
    name: str, argv: Sequence[str], *, ready_url: str, environment: Mapping[str, str], output: Path
) -> Iterator[int]:
    """The id of the process that answers `ready_url`; ended on leaving."""
    with output.open("wb") as sink:
        process = subprocess.Popen(
            argv,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(name, process, ready_url, output)
        step_forward([process.pid, *(child.pid for child in family(process.pid))])
        yield process.pid
    finally:
        _end(process)


def finish(name: str, argv: Sequence[str], environment: Mapping[str, str], deadline_s: float = READY_DEADLINE_S) -> str:
    """Runs a command to its end and returns what it printed; raises SystemUnfit where it fails."""
    try:
        run = subprocess.run(
            argv, env={**os.environ, **environment}, capture_output=True, text=True, timeout=deadline_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise SystemUnfit(name, f"no end of {argv[:4]}", f"one within {deadline_s} s", str(error.stdout)) from error
    if run.returncode:
        raise SystemUnfit(name, f"exit code {run.returncode} of {argv[:4]}", "0", run.stdout + run.stderr)
    return run.stdout


def family(pid: int) -> list[psutil.Process]:
    """The processes below it, now."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _wait_until_ready(name: str, process: subprocess.Popen[bytes], url: str, output: Path) -> None:
    end = time.monotonic() + READY_DEADLINE_S
    while time.monotonic() < end:
        with suppress(httpx.HTTPError):
            if httpx.get(url, timeout=2, trust_env=False).status_code == 200:
                return
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(LOOK_AGAIN_S)
            raise SystemUnfit(name, f"exit code {code}", "a server", output.read_text(errors="replace"))
    raise SystemUnfit(name, f"not ready in {READY_DEADLINE_S} s", f"200 from {url}", output.read_text(errors="replace"))


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the server, then SIGKILL to whatever is left of what it started (Ray's daemons leave the group)."""
    below = family(process.pid)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_DEADLINE_S)
    for child in below:
        with suppress(psutil.NoSuchProcess):
            child.kill()  # psutil compares the start time: never a stranger that was given the same id
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(END_DEADLINE_S)
