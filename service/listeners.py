"""How many connections does a worker accept in one turn of its event loop?

libuv accepts one a turn for each listener (since 1.47). Under load a turn takes milliseconds: new clients, health probes among
them, would wait for seconds while those who are connected are served. Several listeners on the one socket are asked in the same
turn; a connection that comes to an idle worker costs one more system call for each of them, which finds nothing.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

LISTENERS = 16
STARTED_LOOK_EVERY_S = 0.01


async def accept_many(server: Any, wanted: Callable[[], bool]) -> None:
    """Adds listeners to a uvicorn server as soon as it listens, if they are still `wanted`; they are closed with its own."""
    while not server.started:  # noqa: ASYNC110 - uvicorn sets no event
        await asyncio.sleep(STARTED_LOOK_EVERY_S)
    loop, config = asyncio.get_running_loop(), server.config

    def connection() -> asyncio.Protocol:
        made: asyncio.Protocol = config.http_protocol_class(
            config=config, server_state=server.server_state, app_state=server.lifespan.state
        )
        return made

    for own in [own for listener in server.servers for own in listener.sockets]:
        for _ in range(LISTENERS - 1):
            if wanted():
                copy = socket.socket(fileno=os.dup(own.fileno()))
                server.servers.append(await loop.create_server(connection, sock=copy, backlog=config.backlog))
