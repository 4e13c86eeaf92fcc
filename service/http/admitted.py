"""A connection with a door: what finds no room is answered before it is parsed, who goes while it waits is not run.

Laws
- A plain prediction that came in one piece, and nothing before it is unanswered, is neither parsed nor told to an ASGI
  application: its head is looked up (`plain_head.py`), its answer is written here. Whatever is not plain goes uvicorn's
  way; the answers are the same, byte for byte.
- A request is answered out of turn only where no earlier one of its connection is being read or answered, and never while the
  worker drains: that answer would not say `connection: close`.
- A connection above `max_connections` may ask for anything but a prediction, so however many clients there are (up to
  SURPLUS_FACTOR times as many) health, metrics and admin are answered; its prediction is refused and on record.
"""

import asyncio
from collections.abc import Awaitable
from functools import partial
from time import monotonic_ns
from typing import Any

import uvicorn.config

from service.caller import CALLER, Caller
from service.connection import CLOSE, Stage
from service.errors import ClientGone
from service.http.connection_errors import TooManyConnections
from service.http.cycle import UNSENT
from service.http.edge import Edge
from service.http.exchange import Exchange
from service.http.paths import Target, parse
from service.http.plain_head import Plain, plain
from service.http.protocol import Connection
from service.pace import Pressure

PREDICTIONS = (":predict", "/infer", "/predict")  # ends of the paths whose requests may have to wait
CROWDED = Pressure()  # of the connections above the limit
CROWDED.high = True


class AdmittedConnection(Connection):
    """One connection of a client, and how the request on it fares at the door."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._admission = self.app.admission
        self._pressure = self._admission.pressure
        self._caller = Caller()
        self._exchange: Exchange | None = None  # the last
        self._crowd: TooManyConnections | None = None  # on a connection above the limit: why its prediction is refused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client."""
        super().connection_made(transport)
        if self.surplus:
            self._crowd, self._pressure = TooManyConnections(self.guard.bounds.max_connections), CROWDED

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self.deaf:
            return
        if self._pressure.high and self._between() and self._admission.turned_away(data, self.transport, self._crowd):
            self.turn, self.stage = self.turn + 1, Stage.WORK  # one more that is answered, for the guard to see
            if self._crowd is not None:
                self.guard.refused(self._crowd.code)
                self.deaf = True
                self.transport.close()
        elif (
            (asked := plain(data)) is not None
            and self._between()
            and not self.access_log
            and (target := self._predicted(asked)) is not None
        ):
            self._take(Exchange(self.scope, data[asked.head_bytes :]), target, asked)
        else:
            super().data_received(data)

    def _predicted(self, asked: Plain) -> Target | None:
        """What a head asks for, where it is a prediction and within the bounds; None: the parser's way decides."""
        bounds, target = self.guard.bounds, parse(asked.path)
        if target is None or self.app.edge is None or not self.app.edge.predicts(target):
            return None
        many = len(asked.headers) > bounds.max_headers or len(asked.path) > bounds.max_url_bytes
        return None if many or asked.head_bytes > bounds.max_header_bytes else target

    def _take(self, exchange: Exchange, target: Target, asked: Plain) -> None:
        """A plain prediction begins, waits, or is told why it cannot even wait."""
        admission, caller = self._admission, self._caller
        self._exchange = exchange
        self.cycle = self.active = exchange  # type: ignore[assignment]  # all that is asked of a cycle it answers
        self.turn, self.stage = self.turn + 1, Stage.WORK
        caller.arrived_ns, caller.refusal = 0, None
        if admission.begins():
            self._begin(exchange, target, asked, 1)
            return
        caller.arrived_ns = monotonic_ns()
        caller.refusal = admission.refusal(asked.headers)
        if caller.refusal is None:
            admission.wait(caller, partial(self._begin, exchange, target, asked, 1))
        else:
            self._begin(exchange, target, asked, 0)

    def _begin(self, exchange: Exchange, target: Target, asked: Plain, counted: int) -> None:
        task = self.loop.create_task(self._answered(exchange, target, asked, counted))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answered(self, exchange: Exchange, target: Target, asked: Plain, counted: int) -> None:
        """In a task of its own; a client whose task is cancelled is not left waiting on an open connection."""
        self._admission.unbegun -= counted
        edge: Edge = self.app.edge
        try:
            answer = await edge.answer(target, "POST", asked.headers, exchange.receive, self._caller, asked.path)
        except asyncio.CancelledError:
            self.transport.close()
            raise
        exchange.response_complete, exchange.body = True, b""
        if exchange.disconnected:
            if answer.status < 400:
                self.guard.refused(UNSENT)
            return
        self.transport.write(exchange.spoken(answer, self.server_state.default_headers))
        if not exchange.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _between(self) -> bool:
        """The last request is read and answered, the next has not begun, the client reads what it is sent and may stay."""
        cycle: Any = self.cycle
        if self.flow.write_paused or self.transport.is_closing() or CLOSE in self.server_state.default_headers:
            return False
        if cycle is None:
            return self.scope is None
        return cycle.scope is self.scope and cycle.response_complete and not cycle.more_body

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """A request's head is there, and the answer before it has gone."""
        admission, caller = self._admission, self._caller
        cycle.scope[CALLER] = caller
        caller.arrived_ns, caller.refusal = 0, None
        if self._crowd is not None and cycle.scope["path"].endswith(PREDICTIONS):
            self.guard.refused(self._crowd.code)
            caller.arrived_ns, caller.refusal = monotonic_ns(), self._crowd
            super()._start_asgi_task(cycle, app)
        elif admission.begins():
            super()._start_asgi_task(cycle, self._entered)
        elif not cycle.scope["path"].endswith(PREDICTIONS):
            super()._start_asgi_task(cycle, app)
        else:
            caller.arrived_ns = monotonic_ns()
            caller.refusal = admission.refusal(cycle.scope["headers"])
            if caller.refusal is None:
                admission.wait(caller, partial(super()._start_asgi_task, cycle, self._entered))
            else:
                super()._start_asgi_task(cycle, app)

    def _entered(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """The application, called in the request's own task."""
        self._admission.unbegun -= 1
        entered: Awaitable[None] = self.app(scope, receive, send)
        return entered

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or we let it go."""
        if self._exchange is not None:
            self._exchange.disconnected = True
        super().connection_lost(exc)
        waiting = self._caller.waiting
        if waiting is not None and not waiting.done():
            waiting.set_exception(ClientGone())


def put_in_place() -> None:
    """Every uvicorn configuration of this process that chooses its protocol by itself now chooses this one."""
    uvicorn.config.HTTP_PROTOCOLS["auto"] = f"{AdmittedConnection.__module__}:{AdmittedConnection.__qualname__}"
