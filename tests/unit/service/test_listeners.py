"""Are new clients taken as fast as they come?"""

import asyncio
import socket
from contextlib import closing

import pytest
import uvicorn
import uvloop

from service.listeners import LISTENERS, accept_many

CLIENTS = 3 * LISTENERS


async def _app(scope: object, receive: object, send: object) -> None:
    raise AssertionError("nobody asks anything")


async def _turns_to_accept(clients: int, *, wanted: bool) -> int:
    config = uvicorn.Config(_app, lifespan="off", http="httptools", log_level="critical", backlog=2 * clients)
    server = uvicorn.Server(config)
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        await accept_many(server, lambda: wanted)
        peers = [socket.create_connection(listening.getsockname()) for _ in range(clients)]
        turns = 0
        while len(server.server_state.connections) < clients and turns < 10 * clients:
            await asyncio.sleep(0)
            turns += 1
        for peer in peers:
            peer.close()
        server.should_exit = True
        await serving
        assert len(server.servers) == (LISTENERS if wanted else 1)
        assert not any(listener.is_serving() for listener in server.servers)
    return turns


@pytest.mark.parametrize(("wanted", "least", "most"), [(True, 3, CLIENTS // 2), (False, CLIENTS, 2 * CLIENTS)])
def test_a_turn_takes_as_many_connections_as_there_are_listeners(wanted: bool, least: int, most: int) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        turns = runner.run(_turns_to_accept(CLIENTS, wanted=wanted))
    assert least <= turns <= most
