"""What a worker's connections speak: uvicorn's httptools protocol within limits, with answers that leave in one write.

`service/http/admitted.py` gives it a door and puts it in place.

Laws
- What is refused before it is a request gets an answer of the shape that all errors have, and its connection is closed; never
  out of order: requests that came before it are answered first, and then the connection just closes.
- No byte of a body is taken for a request.
- Nothing is kept of a head beyond its limits but one read of the socket (256 KiB, uvloop's); of a body, before its application
  reads it, no more than PART_BYTES and one read, of which what is above uvicorn's 64 KiB counts as unfinished; of its trailers,
  which have a head's limits, nothing (RFC 9110 §6.5.1).
- An application is not woken for less of a body than PART_BYTES or the whole.
- Nothing that a connection sends makes a timer: the guard looks at all of them in turn.
"""

import asyncio
from typing import Any
from urllib.parse import unquote

import httptools
import uvicorn.config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.connection import Stage
from service.errors import RequestError
from service.http.bounds import head_within
from service.http.connection_errors import HeadTooLarge, RequestLate, RequestMalformed, TooManyConnections
from service.http.cycle import Cycle
from service.http.guard import Guard
from service.http.patience import Look, Overdue
from service.http.refusal import spoken

FOUND_CHARS_MAX = 64
_HEAD = Stage.HEAD  # looking up a member costs 40 ns in Python 3.11; where it is used runs for every header or read
PIPELINE_FULL = "pipeline_full"
FRAMING = frozenset({b"content-length", b"transfer-encoding"})
PART_BYTES = 1 << 20  # a body of 82 kB in one part instead of two takes 0.1 ms less, of 2: no pause, no second turn
SURPLUS_FACTOR = 2  # of max_connections: so many may be open, the surplus for one answer each; more are cut off unheard


class PipelineFull(Exception):
    """More requests wait for an answer than one connection may have."""


class Connection(HttpToolsProtocol):
    """One connection of a client."""

    def __init__(
        self,
        config: uvicorn.config.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # not `loaded_app`: nothing here asks who the client is, and the middleware for x-forwarded-for costs every request
        lane: Any = config.app
        self.app = lane
        guard: Guard | None = lane.guard
        assert guard is not None, "a connection before the worker was started"
        self.guard = guard
        self.stage = Stage.HEAD
        self.turn = 0
        self.moved_bytes = 0  # of this request's body
        # since a head may have begun, or a body moved; never less than that head has, or that body's trailers
        self._fed_bytes = 0
        self._trailer_bytes = 0  # of this request, with what goes between name and value and after
        self.active: RequestResponseCycle | None = None  # the one that is answered; `cycle` may be one behind it
        self.deaf = False  # nothing more is read: all that will be answered is here
        self.surplus = False  # above max_connections: it gets one answer

    # --- the transport's side

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Counts it, and cuts off one too many."""
        super().connection_made(transport)
        limit, now = self.guard.bounds.max_connections, len(self.guard.connections)
        self.surplus = now >= limit
        if now >= limit * SURPLUS_FACTOR:
            self.guard.refused(TooManyConnections.code)
            transport.abort()
        else:
            self.guard.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """What it held is given back."""
        super().connection_lost(exc)
        self.guard.connections.discard(self)
        for cycle in (self.active, self.cycle, *(waiting for waiting, _ in self.pipeline)):
            if isinstance(cycle, Cycle):
                cycle.disconnected = True
                cycle.message_event.set()
                cycle.release()
        self.pipeline.clear()

    def data_received(self, data: bytes) -> None:
        """One read of the socket."""
        if self.deaf:
            return
        turn, stage, moved_bytes = self.turn, self.stage, self.moved_bytes
        self._fed_bytes += len(data)
        upgrade_at: int | None = None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            upgrade_at = upgrade.args[0]
        except httptools.HttpParserError as error:
            self._broken(error)
        if upgrade_at is not None:  # not in the handler above: an error's context is what `_broken` goes by
            self._pass_over_upgrade(data[upgrade_at:])
        if self.stage is _HEAD:
            if self.turn:
                self._look_at_head()
        elif stage is self.stage is Stage.BODY and self.moved_bytes == moved_bytes and self.turn == turn:
            self._look_at_trailers()
        else:
            self._fed_bytes = 0

    def _pass_over_upgrade(self, rest: bytes) -> None:
        """The request is answered as any other (RFC 9110 §7.8), and is the last of its connection.

        The parser took it to have no body, whatever its head says, and would read the body as the next request: another parser,
        told nothing of the upgrade, reads on.
        """
        cycle = self.cycle
        cycle.keep_alive, cycle.more_body, self.stage = False, True, Stage.BODY
        cycle.message_event.clear()
        self.parser = httptools.HttpRequestParser(_LastBody(self))
        framing = b"".join(b"%b: %b\r\n" % pair for pair in self.headers if pair[0] in FRAMING)
        try:
            self.parser.feed_data(b"POST / HTTP/1.1\r\nconnection: close\r\n%b\r\n" % framing)
            if not self.deaf:
                self._trailer_bytes = 0
                self.parser.feed_data(rest)
        except httptools.HttpParserError as error:
            self._broken(error)

    def _look_at_head(self) -> None:
        """A head came in parts: its limits hold before its end."""
        try:
            head_within(self.guard.bounds, self.url, self.headers, self._fed_bytes)
        except RequestError as error:
            self._refused(error)

    def _look_at_trailers(self) -> None:
        """A read of a body without a byte of the body: the parser may be keeping a trailer whose end has not come."""
        try:
            head_within(self.guard.bounds, b"", (), self._fed_bytes)
        except RequestError as error:
            self._refused(error)

    # --- the parser's side

    def on_message_begin(self) -> None:
        """A request begins: what its application will be told."""
        self.turn += 1
        self.stage = Stage.HEAD
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self.scope = {  # type: ignore[typeddict-item]  # the rest comes with the end of the head
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "root_path": self.root_path,
            "headers": self.headers,
            "state": self.app_state.copy(),
        }

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which is counted and dropped."""
        if self.stage is not _HEAD:
            self._trailer_bytes += len(name) + len(value) + 4
            if self._trailer_bytes > (limit := self.guard.bounds.max_header_bytes):
                raise HeadTooLarge(f"{limit} bytes")
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """A request's head is there: its application is started, or waits for the answer before it."""
        bounds = self.guard.bounds
        many = len(self.headers) > bounds.max_headers or len(self.url) > bounds.max_url_bytes
        if many or self._fed_bytes > bounds.max_header_bytes:
            head_within(bounds, self.url, self.headers, 0)
        if len(self.pipeline) >= bounds.max_pipelined:
            raise PipelineFull
        self.stage = Stage.BODY
        self.moved_bytes = self._trailer_bytes = 0
        parser, scope = self.parser, self.scope
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        url = httptools.parse_url(self.url)
        scope["raw_path"] = raw_path = url.path
        path = raw_path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["query_string"] = url.query or b""
        before, self.cycle = (
            self.cycle,
            self._cycle(version != "1.0" and not self.surplus and parser.should_keep_alive()),
        )
        if before is None or before.response_complete:
            self.active = self.cycle
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """A piece of the body; reading stops while its application has not taken a part that is there."""
        self.moved_bytes += len(body)
        cycle: Any = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) <= HIGH_WATER_LIMIT:
            return
        cycle.hold_arrived()
        if len(cycle.body) > PART_BYTES:
            self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.stage = Stage.WORK
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def _cycle(self, keep_alive: bool) -> Cycle:
        cycle = Cycle(
            self.scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            self.access_log,
            self.server_state.default_headers,
            asyncio.Event(),
            self.expect_100_continue,
            keep_alive,
            self.on_response_complete,
        )
        cycle.guard, cycle.on_linger = self.guard, self._linger
        return cycle

    # --- the application's side

    def on_response_complete(self) -> None:
        """The next request of the pipeline may be worked on; no timer: the guard sees that it is idle."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self.active = cycle
            self._start_asgi_task(cycle, app)

    def _should_upgrade(self) -> bool:
        """Nothing here speaks anything but HTTP."""
        return False

    # --- the guard's side

    def look(self) -> Look:
        """How it is now; what was told to close and is not gone has an answer that nobody reads."""
        stage = self.stage
        if stage is Stage.WORK and (self.cycle is None or self.cycle.response_complete) and not self.pipeline:
            stage = Stage.IDLE
        if self.transport.is_closing():
            stage = Stage.WORK
        unsent_bytes = self.transport.get_write_buffer_size()
        return Look(self.turn, stage, self.moved_bytes, unsent_bytes, self.flow.read_paused)

    def give_up(self, overdue: Overdue) -> None:
        """Too late."""
        patience = self.guard.patience
        match overdue:
            case Overdue.HEAD if self.turn:
                self._refuse(RequestLate("head", f"it within {patience.header_timeout_s:g} s"))
            case Overdue.BODY if isinstance(self.cycle, Cycle) and not self.cycle.response_complete:
                limit = f"it within {patience.body_timeout_s:g} s or at {patience.bytes_per_s_min} bytes/s"
                self.cycle.refuse(RequestLate("body", limit))
                self._stop()
            case Overdue.WRITE | Overdue.LINGER:
                self.transport.abort()
            case _:
                self.transport.close()

    # --- refusals

    def _broken(self, error: httptools.HttpParserError) -> None:
        """The parser gave up, by itself or because of one of our limits."""
        if self.deaf:
            return  # at what came after the last request
        match error.__context__:
            case PipelineFull():
                self.cycle.keep_alive = False  # it is answered, and the rest may be asked again
                self._stop()
                self.guard.refused(PIPELINE_FULL)
            case RequestError() as fault:
                self._refused(fault)
            case None:
                self._refused(RequestMalformed(str(error)[:FOUND_CHARS_MAX]))
            case _:
                self._refused(RequestMalformed("an invalid URL"))

    def _refused(self, error: RequestError) -> None:
        self.guard.refused(error.code)
        self._refuse(error)

    def _refuse(self, error: RequestError) -> None:
        """The connection ends with this answer, or with those of the requests before."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            if self.stage is not Stage.BODY:  # else that request has its answer
                self.transport.write(spoken(error, self.server_state.default_headers))
            self._linger()
        elif self.stage is Stage.BODY and isinstance(cycle, Cycle):
            cycle.refuse(error)
            self._stop()
        else:
            cycle.keep_alive = False
            self._stop()

    def _stop(self) -> None:
        """Nothing more is read; what is there is answered."""
        self.deaf, self.stage = True, Stage.WORK

    def _linger(self) -> None:
        """Our side is closed, theirs is emptied for a while: a reset would take the answer from a client that still sends."""
        self.deaf, self.stage = True, Stage.LINGER
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()


class _LastBody:
    """What the parser of a body tells its connection; with the end of the body the connection hears no more."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.on_header, self.on_body = connection.on_header, connection.on_body

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._connection.on_message_complete()
        self._connection.deaf = True
