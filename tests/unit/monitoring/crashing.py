"""A monitor's loop that kills itself at a named border: `python -m tests.unit.monitoring.crashing HOME POINT`.

Real files, a real SIGKILL; the point `none` runs to the end of the log. Offered ids are written to HOME/offered, one a line.
"""

import os
import signal
import sys
from pathlib import Path

from models.disk import Disk
from models.registry import Registry
from models.reserve import Reserve
from monitoring.checkpoint import Checkpoints
from monitoring.intake import Intake
from monitoring.loop import Loop
from monitoring.outbox import Outbox
from monitoring.pulse import Pulse
from monitoring.references import References
from monitoring.rules import Rules
from monitoring.state import State
from monitoring.status import LoopStatus, OutboxStatus, Status, log_of

POINTS = ("read", "fold", "half_put", "put", "half_checkpoint", "checkpoint", "offer")
RECORDS_MAX = 400  # several ticks for a test's log


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run(home: Path, point: str) -> None:
    """Ticks to the end of the log, or to the point, at the first event."""

    class DyingIntake(Intake):
        def read(self):
            found = super().read()
            if point == "read" and self.positions.get("w0", (0, 0, 0))[2] > 0 and (home / "armed").exists():
                die()
            return found

    class DyingOutbox(Outbox):
        def put(self, events):
            held = list(events)
            if held and point == "fold":
                die()
            if held and point == "half_put":
                (home / "monitor" / "outbox" / f"{held[0].id}.json.1.new").write_bytes(held[0].body[:100])
                die()
            new = super().put(held)
            if new and point == "put":
                die()
            return new

    class DyingCheckpoints(Checkpoints):
        def save(self, positions, state):
            had_event = any(home.glob("monitor/outbox/*.json"))
            if had_event and point == "half_checkpoint":
                (home / "monitor" / "checkpoint.1.new").write_bytes(b"half a checkpoint")
                die()
            super().save(positions, state)
            (home / "armed").touch()
            if had_event and point == "checkpoint":
                die()

    def offer(event_ids: tuple[str, ...]) -> None:
        with (home / "offered").open("a") as file:
            file.writelines(f"{event_id}\n" for event_id in event_ids)
        if event_ids and point == "offer":
            die()

    rules = Rules()
    nothing = OutboxStatus(None)
    first = Status(
        (), (), nothing, log_of(State(), {}, caught_up=False, lag_bytes=0), LoopStatus(0, 0, "", 0, 0, 0, 0, 0), rules
    )
    loop = Loop(
        intake=DyingIntake(home / "log", {}, RECORDS_MAX),
        references=References(Registry(home / "registry")),
        outbox=DyingOutbox(home / "monitor" / "outbox", pending_max=10, delivered_kept=10),
        checkpoints=DyingCheckpoints(home / "monitor"),
        reserve=Reserve(home / "reserve", 0, Disk()),
        pulse=Pulse(first, 30.0),
        rules=rules,
        checkpoint_interval_s=0.0,
        offer=offer,
        outbox_status=lambda: nothing,
    )
    loop.start()
    while not loop.tick():
        pass


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2])
