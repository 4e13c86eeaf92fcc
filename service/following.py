"""The request path of a service that is traced: follows some requests, and sends away what was measured of them.

Laws
- A service that is not traced does not have this path, and pays nothing for it; here a request that is not followed takes the
  predictor's own way after one look at its headers.
- A followed request has the answer and the record that it would have had.
- Its spans are made of its record, after the record: nothing that is sent waits, and nothing waits for it.
- A request that is refused unread (`turn_away`) is not followed: under overload that costs more than its answer.
"""

from collections.abc import Coroutine
from time import monotonic_ns, time_ns
from typing import Any

from service.errors import RequestError
from service.featurelog.record import Request
from service.followed import FollowedCaller
from service.http.answer import Answer
from service.predict import Ask, Predictor
from service.span_sender import SpanSender
from service.spans import Followed, attributes_of
from service.trace_context import Following


class FollowingPredictor(Predictor):
    """A predictor that follows; its batcher is a `FollowedBatcher`."""

    def __init__(self, *, following: Following, sender: SpanSender, **given: Any) -> None:
        super().__init__(**given)
        self._following, self._sender = following, sender

    def predict(self, ask: Ask) -> Coroutine[Any, Any, Answer]:
        """As the predictor."""
        self._look(ask)
        return super().predict(ask)

    async def settle_error(self, ask: Ask, error: RequestError) -> Answer:
        """As the predictor; the edge brings those here whose body could not be read."""
        self._look(ask)
        return await super().settle_error(ask, error)

    def publish(self) -> None:
        """As the predictor."""
        super().publish()
        self._telemetry.traces(self._sender.counts)

    def _look(self, ask: Ask) -> None:
        if isinstance(ask.caller, FollowedCaller):
            return
        trace = self._following.trace_of(ask.headers, ask.request_id, ask.started_ns)
        if trace is not None:
            ask.caller = FollowedCaller(trace, ask.caller)

    def _traced(self, ask: Ask) -> dict[str, str]:
        if isinstance(ask.caller, FollowedCaller):
            trace = ask.caller.trace
            return {"trace_id": f"{trace.trace_id:032x}", "span_id": f"{trace.span_id:016x}"}
        return super()._traced(ask)

    def _count(self, ask: Ask, record: Request) -> None:
        super()._count(ask, record)
        one = ask.caller
        if isinstance(one, FollowedCaller):
            ended_ns = monotonic_ns()
            self._sender.offer(
                Followed(
                    trace=one.trace,
                    attributes=attributes_of(record, *_served(ask)),
                    status=record.status,
                    queue_us=record.queue_us,
                    started_ns=ask.started_ns,
                    queued_ns=one.queued_ns,
                    dequeued_ns=one.dequeued_ns,
                    recorded_ns=ask.started_ns + record.total_us * 1000,
                    ended_ns=ended_ns,
                    wall_less_monotonic_ns=time_ns() - ended_ns,
                    parts=tuple(one.parts),
                )
            )


def _served(ask: Ask) -> tuple[str, str]:
    """Model and version; a name that is not ours is the client's text."""
    return ("", "") if ask.served is None else (ask.served.pin.name, ask.served.pin.version)
