"""How a worker leaves: what it tells balancers and clients, what it finishes, what it cuts off.

Laws
- SIGTERM: `/readyz` says 503 at once while requests are answered for `drain_s` more; SIGINT leaves that time out; SIGHUP says
  that another worker has taken this one's place: it stays ready, accepts nothing new, and ends when its connections have, at
  the latest after `drain_s`.
- From the signal on every answer says `connection: close`; a connection is closed without an answer only when it is idle.
- What was admitted is finished within `grace_s`; then, or at a second signal, it is cut off: recorded, and answered 503.
  No request's task is cancelled before it has begun: it could neither record nor answer.

uvicorn closes idle connections as soon as it is told to end, whether or not a request is already on its way in them: so its
clients are sent away first, and it is told last. Its server is found behind the signal handler that it has installed.
"""

import asyncio
import os
import select
import signal
from collections.abc import Callable
from typing import Any

import structlog

from service.connection import CLOSE, Stage
from service.listeners import accept_many

LOOK_EVERY_S = 0.01
PARENT_EVERY_S = 0.25  # the next supervisor waits longer than this for the address
NEW_CONNECTION_S = (
    1.0  # a client that has just connected is about to ask; one that only keeps a connection warm is not waited for
)
FLUSH_S = 2.0  # for clients to take the answers written to them; then uvicorn closes their connections
_log = structlog.get_logger()


class Drain:
    """One a worker, on its event loop; `stopping` is what `/readyz` asks."""

    def __init__(self, *, drain_s: float, grace_s: float, parent: int, cut: Callable[[], None]) -> None:
        self._parent = parent
        self._drain_s, self._grace_s, self._cut = drain_s, grace_s, cut
        self._server: Any = None  # uvicorn's; BentoML does not hand it out
        self._leaving: asyncio.Task[None] | None = None
        self._hurried = False
        self.stopping = False

    def listen(self) -> bool:
        """Takes the signals over from uvicorn; False where no uvicorn runs in this process."""
        server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if not hasattr(server, "server_state"):
            return False
        self._server, loop = server, asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: loop.call_soon_threadsafe(self.begin, number))
        return True

    def begin(self, number: int) -> None:
        """The first signal begins the leave; a second SIGTERM or SIGINT ends every wait in it."""
        if self._leaving is None:
            self.stopping = number != signal.SIGHUP
            _log.info("worker.leaving", signal=signal.Signals(number).name)
            if self._server is not None:  # else nothing is open
                self._leaving = asyncio.create_task(self._leave(number), name="drain.leave")
        elif number != signal.SIGHUP:
            self._hurried = self.stopping = True

    async def accept(self) -> None:
        """Takes new connections as fast as they come, until the leave begins."""
        if self._server is not None:
            await accept_many(self._server, lambda: self._leaving is None)

    async def follow_parent(self) -> None:
        """Leaves when the supervisor was killed: a worker that stays would hold the port against the next one."""
        while os.getppid() == self._parent:  # noqa: ASYNC110 - the kernel sets no event for it
            await asyncio.sleep(PARENT_EVERY_S)
        _log.error("worker.orphaned", supervisor=self._parent)
        self.begin(signal.SIGHUP)

    async def _leave(self, number: int) -> None:
        state, server = self._server.server_state, self._server
        self._ask_clients_to_go()
        if number == signal.SIGHUP:
            _stop_accepting(server)
            await self._until(lambda: not state.connections, self._drain_s)
        elif number == signal.SIGTERM:
            await self._until(lambda: False, self._drain_s)
        _stop_accepting(server)
        await self._until(lambda: not _asking(state.connections), NEW_CONNECTION_S)
        await self._until(lambda: not state.tasks, self._grace_s)
        if state.tasks:
            _log.warning("worker.cut", requests=len(state.tasks), grace_s=self._grace_s, hurried=self._hurried)
            self._cut()
            admitted = list(state.tasks)  # what comes from now on is refused
            await asyncio.sleep(0)  # all of them begin
            for task in admitted:
                task.cancel()
        server.config.timeout_graceful_shutdown = FLUSH_S
        server.handle_exit(signal.SIGTERM, None)

    def _ask_clients_to_go(self) -> None:
        """`connection: close` on every answer to come: uvicorn adds its default headers, and closes where they say so."""
        server, state = self._server, self._server.server_state
        server.config.encoded_headers = [*server.config.encoded_headers, CLOSE]  # from the next second on
        state.default_headers = [*state.default_headers, CLOSE]  # until then
        for connection in state.connections:
            if _answering(connection):
                connection.shutdown()

    async def _until(self, condition: Callable[[], bool], within_s: float) -> None:
        end_s = asyncio.get_running_loop().time() + within_s
        while not (condition() or self._hurried or asyncio.get_running_loop().time() >= end_s):  # noqa: ASYNC110 - nor uvicorn
            await asyncio.sleep(LOOK_EVERY_S)


def _stop_accepting(server: Any) -> None:
    for listener in getattr(server, "servers", ()):  # there are none while the worker starts
        listener.close()  # only this worker's hold on the socket: what waits in it is for the others


def _asking(connections: set[Any]) -> bool:
    """Closes what is idle; True while there are connections that have asked nothing yet, or whose request is on its way in."""
    waiting = False
    for connection in list(connections):
        if _answering(connection):
            continue
        if connection.look().stage is not Stage.IDLE or _unread(connection):
            waiting = True
        else:
            connection.shutdown()
    return waiting


def _answering(connection: Any) -> bool:
    cycle = getattr(connection, "cycle", None)
    return cycle is not None and not cycle.response_complete


def _unread(connection: Any) -> bool:
    """Whether the client has sent something that the event loop has not seen yet."""
    poll = select.poll()
    try:
        poll.register(connection.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, ValueError, AttributeError):  # closed in the meantime
        return False
