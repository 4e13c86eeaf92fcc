"""Who explains new events: `plumbline log explain` in a process of its own, one event at a time.

Laws
- One at a time; what it needs of memory and what may kill it stays in its process, which is told to be nice.
- An event is explained once by a monitor's run, in the order in which events came; of those that wait the newest WAITING_MAX
  are kept and the others counted as `skipped`: anybody can ask for them by the command.
- An explanation that fails is counted by reason and not tried again.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import structlog

from monitoring.events import END
from monitoring.status import ExplainStatus

COMMAND = (sys.executable, "-m", "plumbline", "log", "explain")
WAITING_MAX = 16  # an incident of every version of a house; more at once is one cause, and one explanation says so
KNOWN_MAX = 10_000  # events that are not explained again; older ones are not offered any more
OUTPUT_BYTES_KEPT = 4096  # of what a failed one said


class Explainer:
    """Explains the events of one home."""

    def __init__(self, home: Path, *, timeout_s: float, command: Sequence[str] = COMMAND) -> None:
        self._home, self._timeout_s, self._command = home, timeout_s, command
        self._waiting: deque[str] = deque()
        self._known: dict[str, None] = {}
        self._come = asyncio.Event()
        self._status = ExplainStatus()

    def status(self) -> ExplainStatus:
        """The newest status; never waits."""
        return self._status

    def offer(self, event_ids: Iterable[str]) -> None:
        """Events that are durable; those that are known already change nothing."""
        for event_id in event_ids:
            if event_id.endswith(END):  # the end of an incident, which has nothing to explain
                continue
            if event_id in self._known or (self._home / "monitor" / "explained" / f"{event_id}.json").exists():
                continue
            self._known[event_id] = None
            self._waiting.append(event_id)
            self._come.set()
        for old in list(self._known)[: max(0, len(self._known) - KNOWN_MAX)]:
            del self._known[old]
        while len(self._waiting) > WAITING_MAX:
            self._waiting.popleft()
            self._status = msgspec.structs.replace(self._status, skipped=self._status.skipped + 1)

    async def run(self) -> None:
        """Explains what comes, until cancelled; one that is under way is ended then."""
        while True:
            await self._come.wait()
            self._come.clear()
            await self.drain()

    async def drain(self) -> None:
        """All that wait."""
        while self._waiting:
            await self.step(self._waiting.popleft())

    async def step(self, event_id: str) -> None:
        """One event."""
        failed, said = await self._explain(event_id)
        status = self._status
        if not failed:
            self._status = msgspec.structs.replace(status, explained=status.explained + 1)
            return
        structlog.get_logger().error("explain_failed", event_id=event_id, reason=failed, error=said)
        failures = {**status.failures, failed: status.failures.get(failed, 0) + 1}
        self._status = msgspec.structs.replace(status, failures=failures, last_error=said)

    async def _explain(self, event_id: str) -> tuple[str, str]:
        """Why it failed and what it said; ("", "") where it did not."""
        arguments = ["--home", str(self._home), "--json", "--nice", "10", "--", event_id]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            return "not_started", str(error)
        try:
            async with asyncio.timeout(self._timeout_s):
                _, said = await process.communicate()
        except TimeoutError:
            return "timeout", f"{self._timeout_s:g} s passed"
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
        if process.returncode == 0:
            return "", ""
        text = said[-OUTPUT_BYTES_KEPT:].decode(errors="replace").strip()
        return ("killed" if (process.returncode or 0) < 0 else "refused"), text
