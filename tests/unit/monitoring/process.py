"""The monitor as a process of a test, on a port of the kernel's choice."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import httpx

from tests.processes import wait_until
from tests.unit.monitoring.receiver import SECRET

ROOT = Path(__file__).resolve().parents[3]
DEADLINE_S = 90.0  # a second or two on a quiet machine


class Receiver(Protocol):
    """Whoever has a url."""

    @property
    def url(self) -> str: ...


class Monitor:
    """A monitor process of this test: `python -m monitoring.cli` on a port of the kernel's choice."""

    def __init__(self, home: Path, url: str | None, **more: str) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PLUMBLINE_")}
        settings = {
            "PLUMBLINE_WEBHOOK_SECRET": SECRET,
            "PLUMBLINE_MONITOR_WEBHOOK_RETRY_FIRST_S": "0.02",
            "PLUMBLINE_MONITOR_POLL_INTERVAL_S": "0.02",
            "PLUMBLINE_MONITOR_CHECKPOINT_INTERVAL_S": "0",
            "PLUMBLINE_MONITOR_ARCHIVE_INTERVAL_S": "0.1",
            **({} if url is None else {"PLUMBLINE_MONITOR_WEBHOOK_URL": url}),
            **more,
        }
        self.log = home / f"monitor-{len(list(home.glob('monitor-*.log')))}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitoring.cli", "--home", str(home), "--monitor-port", "0"],
                env={**clean, **settings},
                cwd=ROOT,
                stderr=log,
            )
        try:
            self.port = wait_until(self._port, DEADLINE_S, f"the monitor is ready ({self.log})")
        except AssertionError:
            self.end(signal.SIGKILL)
            raise

    def _port(self) -> int | None:
        assert self.process.poll() is None, self.log.read_text()
        for line in self.log.read_text().splitlines():
            with suppress(json.JSONDecodeError):
                if (told := json.loads(line)).get("event") == "monitor_ready":
                    return int(told["port"])
        return None

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", trust_env=False, timeout=5.0)

    def status(self) -> dict:
        return self.get("/api/status").json()

    def end(self, number: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


@contextmanager
def monitor(home: Path, receiver: Receiver | None, **more: str) -> Iterator[Monitor]:
    """A monitor that lives as long as the block; its receivers may also stand in the home's plumbline.toml."""
    running = Monitor(home, None if receiver is None else receiver.url, **more)
    try:
        yield running
    finally:
        running.end(signal.SIGKILL)
