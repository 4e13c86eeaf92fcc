"""How is a system started on one core, asked once, and ended again with everything it started."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

READY_DEADLINE_S = 90  # BentoML's first start on a busy machine has been seen to take 30 s
END_DEADLINE_S = 15
LOOK_AGAIN_S = 0.05


class SystemUnfit(Exception):
    """A system did not start or did not answer as it must. What it wrote says why."""

    def __init__(self, name: str, found: str, expected: str, output: str) -> None:
        super().__init__(name, found, expected, output)
        self.name, self.found, self.expected, self.output = name, found, expected, output

    def __str__(self) -> str:
        return f"{self.name}: found {self.found}, expected {self.expected}; it is not measured\n{self.output[-2000:]}"


def free_port() -> int:
    """A loopback port that the kernel says is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    name: str, argv: Sequence[str], *, core: int, ready_url: str, environment: Mapping[str, str], output: Path
) -> Iterator[None]:
    """The system pinned to `core` and answering `ready_url`; ended on leaving."""
    with output.open("wb") as sink:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *argv],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(name, process, ready_url, output)
        yield
    finally:
        _end(process)


def finish(name: str, argv: Sequence[str], environment: Mapping[str, str]) -> None:
    """Runs a command to its end; raises SystemUnfit where it fails."""
    run = subprocess.run(
        argv, env={**os.environ, **environment}, capture_output=True, text=True, timeout=READY_DEADLINE_S, check=False
    )
    if run.returncode:
        raise SystemUnfit(name, f"exit code {run.returncode} of {argv[:4]}", "0", run.stdout + run.stderr)


def ask(name: str, url: str, body: str, expect: str) -> None:
    """Raises SystemUnfit unless the system answers 200 with `expect` in it: a fast error is not speed."""
    answer = httpx.post(url, content=body, headers={"content-type": "application/json"}, timeout=30, trust_env=False)
    if answer.status_code != 200 or expect not in answer.text:
        raise SystemUnfit(name, f"{answer.status_code} {answer.text[:200]}", f"200 with {expect!r}", "")


def _wait_until_ready(name: str, process: subprocess.Popen[bytes], url: str, output: Path) -> None:
    end = time.monotonic() + READY_DEADLINE_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemUnfit(name, f"exit code {process.returncode}", "a server", output.read_text(errors="replace"))
        with suppress(httpx.HTTPError):
            if httpx.get(url, timeout=2, trust_env=False).status_code == 200:
                return
        time.sleep(LOOK_AGAIN_S)
    raise SystemUnfit(name, f"not ready in {READY_DEADLINE_S} s", f"200 from {url}", output.read_text(errors="replace"))


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the server, then SIGKILL to whatever is left of the group that was started for it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_DEADLINE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(END_DEADLINE_S)
