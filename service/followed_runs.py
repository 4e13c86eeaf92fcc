"""When were the rows of a followed request run, and with whom? The batcher of a service that is traced.

Laws
- What is not followed goes the batcher's own way, after one look at its caller.
- Nobody is in a batch, or out of it, because somebody is followed.
"""

from collections.abc import Coroutine
from functools import partial
from time import monotonic_ns
from typing import Any

from service.batch import Batch, Ran
from service.batch_plan import BatchRules
from service.batching import Batcher
from service.caller import Caller
from service.errors import RuntimeFailed
from service.followed import FollowedCaller
from service.in_flight import Cells
from service.joined import Joined, Joint, Tensors
from service.served import ServedVersion
from service.spans import LINKS_MAX, Part
from service.telemetry import Telemetry

# By the identity of their inputs, which live as long as they are here: it is what request, queue and batch have in common.
_Here = dict[int, FollowedCaller]


class FollowedBatcher(Batcher):
    """Tells followed requests what became of them."""

    def __init__(self, *, rules: BatchRules, telemetry: Telemetry, cells: Cells | None = None) -> None:
        self._here: _Here = {}
        super().__init__(rules=rules, telemetry=telemetry, cells=cells, batch=partial(FollowedBatch, here=self._here))

    def run(
        self, version: ServedVersion, inputs: Tensors, rows: int, deadline_ns: int, caller: Caller | None = None
    ) -> Coroutine[Any, Any, Ran]:
        """As the batcher."""
        if isinstance(caller, FollowedCaller):
            return self._follow(version, inputs, rows, deadline_ns, caller)
        return super().run(version, inputs, rows, deadline_ns, caller)

    async def _follow(
        self, version: ServedVersion, inputs: Tensors, rows: int, deadline_ns: int, one: FollowedCaller
    ) -> Ran:
        one.queued_ns = monotonic_ns()
        self._here[id(inputs)] = one
        try:
            ran = await super().run(version, inputs, rows, deadline_ns, one.caller)
        except RuntimeFailed:
            _at_once(one, rows, 0)
            raise
        finally:
            one.dequeued_ns = monotonic_ns()
            del self._here[id(inputs)]
        _at_once(one, rows, ran.compute_us)
        return ran


class FollowedBatch(Batch):
    """Parts of requests that are run together, of which some are followed."""

    __slots__ = ("_here",)

    def __init__(self, version: ServedVersion, joint: Joint, cells: Cells, *, here: _Here) -> None:
        super().__init__(version, joint, cells)
        self._here = here

    def settle(self, ran: Joined | None) -> None:
        """As a batch; then those who are followed are told, before any of them is woken."""
        super().settle(ran)
        if not self._here:
            return
        ended_ns = monotonic_ns()
        took_us = (ended_ns - self.began_ns) // 1000 if ran is None or ran.took_us is None else int(ran.took_us)
        found = ((self._here.get(id(member.inputs)), n) for member, n in zip(self.members, self.sizes, strict=True))
        followed = [(one, n) for one, n in found if one is not None]
        for one, n in followed:
            others = tuple(other.trace for other, _ in followed[: LINKS_MAX + 1] if other is not one)[:LINKS_MAX]
            one.ran(Part(self.began_ns, ended_ns, took_us, n, self.rows, len(self.members), others))


def _at_once(one: FollowedCaller, rows: int, took_us: int) -> None:
    """One that no batch had, because it was alone and small, was its own."""
    if not one.parts:
        one.dequeued_ns = one.dequeued_ns or monotonic_ns()
        one.ran(Part(one.queued_ns, one.dequeued_ns, took_us, rows, rows, 1))
