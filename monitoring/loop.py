"""In which order does everything happen: read → fold → outbox → checkpoint → offer.

Laws
- An event is on disk before the checkpoint that no longer contains its cause, and is offered for sending after it. A
  crash anywhere between repeats the fold from the older checkpoint, finds the same ids, and the outbox knows them.
- A tick that fails is undone: state and positions go back to the last checkpoint. Nothing is half remembered.
- Where the disk was full the reserve is let go and the tick done again, so that an event is kept also then; it is held again
  after the first checkpoint that leaves room for it.
- The loop decides nothing: what is an event is `fold`'s to say, whether it was sent is the courier's.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

import structlog

from models.reserve import FULL, Reserve
from monitoring.checkpoint import Checkpoints
from monitoring.erased import Erased
from monitoring.errors import CheckpointInvalid
from monitoring.explain.book import Samples
from monitoring.fold import fold
from monitoring.group import schemas_named
from monitoring.intake import Intake
from monitoring.labels.held import labels_said
from monitoring.outbox import Outbox
from monitoring.picture import gallery_of
from monitoring.pulse import Pulse
from monitoring.references import References
from monitoring.rules import Rules
from monitoring.shadows.said import said
from monitoring.state import State
from monitoring.status import (
    ArchiveStatus,
    ExplainStatus,
    LoopStatus,
    OutboxStatus,
    RolloutStatus,
    Status,
    log_of,
    unrouted_of,
    versions_of,
)
from monitoring.volume.said import volumes_of
from service.featurelog.chunk import Positions

STATUS_EVERY_S = 1.0  # a status is built for readers that look every few seconds


class Loop:
    """One monitor's loop; `offer` hands ids of durable events to whoever sends them, `outbox_status` asks how that
    goes.
    """

    def __init__(
        self,
        *,
        intake: Intake,
        references: References,
        outbox: Outbox,
        checkpoints: Checkpoints,
        reserve: Reserve,
        pulse: Pulse,
        rules: Rules,
        checkpoint_interval_s: float,
        offer: Callable[[tuple[str, ...]], None],
        outbox_status: Callable[[], OutboxStatus],
        archive_status: Callable[[], ArchiveStatus] = ArchiveStatus,
        rollouts: Callable[[], tuple[RolloutStatus, ...]] = tuple,
        explain_status: Callable[[], ExplainStatus] = ExplainStatus,
        erased: Erased | None = None,
    ) -> None:
        self._intake, self._references, self._outbox, self._checkpoints = intake, references, outbox, checkpoints
        self._reserve = reserve
        self._pulse, self._rules, self._checkpoint_interval_s = pulse, rules, checkpoint_interval_s
        self._offer, self._outbox_status, self._archive_status = offer, outbox_status, archive_status
        self._rollouts, self._explain_status, self._erased = rollouts, explain_status, erased
        self._state = State()
        self._saved_s = self._shown_s = float("-inf")
        self._unsaved = self._caught_up = False
        self._ticks = self._errors = self._saves = 0
        self._last_error = ""
        self.saved_positions: Positions = {}
        """Of the last checkpoint: what lies before them is never read again. Replaced whole, so any thread may look."""

    def start(self) -> None:
        """Takes up the last checkpoint, and offers what an earlier run left undelivered."""
        self._go_back()
        self._show()
        self._offer(self._outbox.pending)

    def tick(self) -> bool:
        """One round; returns whether the log was read to its end. Raises what the disk raises."""
        if self._erased is not None and self._erased.said():
            self._state.samples = Samples()
            self._save()
            self._erased.obeyed()
        chunk, settled = self._intake.read()
        references = self._references.learn({**self._state.schemas, **schemas_named(chunk.runs)})
        events = fold(self._state, chunk, settled=settled, rules=self._rules, references=references)
        for one in self._state.take_untold():
            about = {"model": one.version.model, "version": one.version.version, "minute": one.minute}
            structlog.get_logger().error("story_failed", **about, why=one.why)
        new = self._outbox.put([*events, *self._state.take_ended()])  # fsynced before anything is forgotten
        self._unsaved = self._unsaved or bool(chunk.runs or chunk.lost)
        if new or self._save_due():
            self._save()
            if new:
                self._show()  # what is decided of an event is decided on a status that is no older
            self._offer(self._outbox.pending)
        self._caught_up = chunk.caught_up
        return chunk.caught_up

    async def run(self, stop: asyncio.Event, poll_interval_s: float) -> None:
        """Ticks until `stop`, then saves; a failed tick is counted, logged and undone."""
        while not stop.is_set():
            more_at_once = await asyncio.to_thread(self._guarded_tick)
            if not more_at_once:
                await _wait(stop, poll_interval_s)
        await asyncio.to_thread(self._finish)

    def _guarded_tick(self) -> bool:
        """The monitor's border: returns whether there is more to read at once."""
        self._ticks += 1
        try:
            caught_up = self.tick()
            self._pulse.beat()
        except Exception as error:
            self._errors += 1
            self._last_error = f"{type(error).__name__}: {error}"
            self._pulse.fail(self._last_error)
            structlog.get_logger().exception("tick_failed", tick=self._ticks)
            self._go_back()
            caught_up = not (isinstance(error, OSError) and error.errno in FULL and self._reserve.release())
        if monotonic() - self._shown_s >= STATUS_EVERY_S:
            self._show()
        return not caught_up

    def _save_due(self) -> bool:
        return self._unsaved and monotonic() - self._saved_s >= self._checkpoint_interval_s

    def _save(self) -> None:
        positions = self._intake.positions
        self._checkpoints.save(positions, self._state)
        self.saved_positions = positions
        self._saved_s, self._unsaved = monotonic(), False
        self._reserve.refill()
        self._saves += 1

    def _go_back(self) -> None:
        try:
            positions, self._state = self._checkpoints.load(self._rules)
        except CheckpointInvalid as error:
            kept = self._checkpoints.put_aside()
            structlog.get_logger().error("checkpoint_invalid", reason=str(error), kept=str(kept))
            positions, self._state = {}, State()
        self._intake.go_back(positions)
        self.saved_positions = positions
        self._unsaved = False

    def _finish(self) -> None:
        if self._unsaved:
            try:
                self._save()
            except OSError:
                structlog.get_logger().exception("checkpoint_not_saved")
        self._show()

    def _show(self) -> None:
        self._shown_s = monotonic()
        try:
            lag_bytes = self._intake.lag_bytes()
        except OSError as error:
            self._pulse.fail(f"the log cannot be read: {error}")
            return
        state = self._state
        self._pulse.publish(
            self._status(lag_bytes), gallery_of(state, self._rules), state.series.shown(state.closed or 0)
        )

    def _status(self, lag_bytes: int) -> Status:
        state, rules = self._state, self._rules
        return Status(
            versions=versions_of(state, rules, self._references.known),
            unrouted=unrouted_of(state, rules),
            outbox=self._outbox_status(),
            log=log_of(state, self._intake.positions, caught_up=self._caught_up, lag_bytes=lag_bytes),
            loop=LoopStatus(
                ticks=self._ticks,
                errors=self._errors,
                last_error=self._last_error,
                checkpoints=self._saves,
                keys=sum(not key.segment for key in state.tracks),
                keys_max=rules.keys_max,
                state_bytes=state.reserved_bytes(rules),
                state_bytes_max=rules.state_bytes_max,
                reserve_bytes=self._reserve.held_bytes,
            ),
            rules=rules,
            archive=self._archive_status(),
            labels=labels_said(
                state.labels,
                state.closed or 0,
                {key.version for key in state.tracks},
                rules,
                self._references.known,
            ),
            shadows=said(state.shadows, state.closed or 0, self._references.known),
            rollouts=self._rollouts(),
            explained=self._explain_status(),
            volumes=volumes_of(state.arrivals, state.closed, rules),
        )


async def _wait(stop: asyncio.Event, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            await stop.wait()
    except TimeoutError:
        return
