"""What is measured of a request that is followed, while it runs?

It goes where its `Caller` goes, so nothing on the way of other requests has a place for it.
"""

from service.caller import Caller
from service.spans import PARTS_MAX, Part
from service.trace_context import Trace


class FollowedCaller(Caller):
    """The caller of one followed request; `caller` is who waits on the connection, if anybody. Times of the monotonic clock."""

    __slots__ = ("caller", "dequeued_ns", "parts", "queued_ns", "trace")

    def __init__(self, trace: Trace, caller: Caller | None) -> None:
        super().__init__()
        self.trace, self.caller = trace, caller
        self.queued_ns = self.dequeued_ns = 0  # 0: it did not come so far
        self.parts: list[Part] = []

    def ran(self, part: Part) -> None:
        """Some of its rows were."""
        if len(self.parts) < PARTS_MAX:
            self.parts.append(part)
