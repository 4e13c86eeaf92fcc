"""The order in which a worker leaves, against a server that keeps still: who is closed, who is waited for, who is cut off."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from service.connection import CLOSE, Stage
from service.drain import Drain
from service.http.patience import Look
from tests.unit.service.serving import until

pytestmark = pytest.mark.slow

LONG_S = 600.0
Test = Callable[[Drain, "Server"], Awaitable[None]]


class Connection:
    """As uvicorn's protocols look from outside: idle after an answer, unless told otherwise."""

    def __init__(self, server: "Server", *, answering: bool = False, asked: bool = True) -> None:
        self.cycle = SimpleNamespace(response_complete=not answering)
        self.stage = Stage.IDLE if asked else Stage.HEAD
        self.ours, self.theirs = socket.socketpair()
        self.transport = SimpleNamespace(get_extra_info=lambda _: self.ours)
        self.told = False
        self._server = server
        server.server_state.connections.add(self)

    def look(self) -> Look:
        return Look(1, self.stage)

    def shutdown(self) -> None:
        self.told = True
        if self.cycle.response_complete:
            self.end()

    def end(self) -> None:
        self._server.server_state.connections.discard(self)
        self.ours.close()


class Server:
    """What a `Drain` needs of uvicorn's."""

    def __init__(self) -> None:
        self.server_state = SimpleNamespace(connections=set(), tasks=set(), default_headers=[(b"date", b"today")])
        self.config = SimpleNamespace(encoded_headers=[], timeout_graceful_shutdown=None)
        self.accepting, self.ended = True, False
        self.servers = [SimpleNamespace(close=self._close)]

    def _close(self) -> None:
        self.accepting = False

    def handle_exit(self, number: int, _frame: Any) -> None:
        self.ended = True

    def work(self) -> "asyncio.Task[None]":
        task = asyncio.create_task(asyncio.sleep(LONG_S))
        self.server_state.tasks.add(task)
        task.add_done_callback(self.server_state.tasks.discard)
        return task


def run(test: Test, *, drain_s: float = LONG_S, grace_s: float = LONG_S) -> list[str]:
    cuts: list[str] = []

    async def inside() -> None:
        server = Server()
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        signal.signal(signal.SIGTERM, server.handle_exit)
        drain = Drain(drain_s=drain_s, grace_s=grace_s, parent=os.getppid(), cut=lambda: cuts.append("cut"))
        try:
            assert drain.listen()
            await test(drain, server)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    asyncio.run(inside())
    return cuts


def test_sigterm_keeps_accepting_and_tells_everyone_to_close() -> None:
    async def test(drain: Drain, server: Server) -> None:
        idle, answering = Connection(server), Connection(server, answering=True)
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: drain.stopping, "the signal taken")
        assert server.accepting and not server.ended
        assert CLOSE in server.server_state.default_headers and CLOSE in server.config.encoded_headers
        assert answering.told and not idle.told

    run(test)


def test_sighup_stops_accepting_stays_ready_and_ends_with_the_last_connection() -> None:
    async def test(drain: Drain, server: Server) -> None:
        last = Connection(server)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: not server.accepting, "the address let go")
        assert not drain.stopping and not server.ended and not last.told
        last.end()
        await until(lambda: server.ended, "the end")

    run(test)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_idle_connections_are_closed_and_the_server_ends_when_no_request_is_left(number: signal.Signals) -> None:
    async def test(drain: Drain, server: Server) -> None:
        idle, task = Connection(server), server.work()
        drain.begin(number)
        await until(lambda: idle.told, "the idle connection closed")
        assert not server.accepting and not server.ended
        task.cancel()
        await until(lambda: server.ended, "the end")

    assert run(test, drain_s=0) == []


def test_a_request_that_is_on_its_way_in_is_waited_for() -> None:
    async def test(drain: Drain, server: Server) -> None:
        unread, half_read = Connection(server), Connection(server, asked=False)
        unread.theirs.send(b"POST")
        drain.begin(signal.SIGINT)
        await until(lambda: not server.accepting, "the address let go")
        assert not unread.told and not half_read.told
        await until(lambda: server.ended, "the end: it is not waited for ever")
        assert not unread.told and not half_read.told

    run(test)


def test_what_is_not_done_at_the_end_of_the_grace_is_cut_off_before_the_server_ends() -> None:
    async def test(drain: Drain, server: Server) -> None:
        task = server.work()
        drain.begin(signal.SIGINT)
        await until(lambda: server.ended, "the end")
        await until(task.done, "the request cut off")
        assert task.cancelled()

    assert run(test, grace_s=0) == ["cut"]


def test_no_request_is_cut_off_before_it_has_begun() -> None:
    begun = []

    async def test(drain: Drain, server: Server) -> None:
        async def request() -> None:
            begun.append("request")
            await asyncio.sleep(LONG_S)

        drain.begin(signal.SIGINT)
        task = asyncio.create_task(request())
        server.server_state.tasks.add(task)
        await until(task.done, "the request cut off")
        assert task.cancelled()

    assert run(test, grace_s=0) == ["cut"]
    assert begun == ["request"]


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_second_signal_ends_every_wait(first: signal.Signals) -> None:
    async def test(drain: Drain, server: Server) -> None:
        Connection(server)
        task = server.work()
        drain.begin(first)
        await asyncio.sleep(0)
        assert not server.ended
        drain.begin(signal.SIGTERM)
        await until(lambda: server.ended, "the end")
        await until(task.done, "the request cut off")

    assert run(test) == ["cut"]


def test_a_worker_whose_supervisor_is_gone_leaves() -> None:
    async def test(drain: Drain, server: Server) -> None:
        orphan = Drain(drain_s=0, grace_s=0, parent=os.getpid(), cut=lambda: None)  # nobody is its own parent
        signal.signal(signal.SIGTERM, server.handle_exit)
        assert orphan.listen()
        await orphan.follow_parent()
        await until(lambda: server.ended, "the end")

    run(test)


def test_without_a_server_the_signals_stay_as_they_are() -> None:
    async def inside() -> None:
        before = signal.getsignal(signal.SIGTERM)
        assert not Drain(drain_s=0, grace_s=0, parent=0, cut=lambda: None).listen()
        assert signal.getsignal(signal.SIGTERM) is before

    asyncio.run(inside())
