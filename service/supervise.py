"""Runs the BentoML service in the foreground and brings a dead worker back within about a second.

BentoML's supervisor looks at its workers every ten seconds, and in a container not at all; here it is asked every second.
"""

import signal
import threading
from typing import Any

import structlog

from service.app import Plumbline
from service.settings import read_settings

LOOK_EVERY_S = 0.5
_log = structlog.get_logger()


def main() -> None:
    """Serves until SIGTERM or SIGINT; then the workers finish what they have."""
    settings = read_settings()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    service: Any = Plumbline  # BentoML ships no types: the decorator made it a LaneService
    server = service.serve_http(host=settings.host, port=settings.port, threaded=True)
    arbiter = server.arbiter
    for watcher in arbiter.watchers:
        watcher.respawn = True
    while not stop.wait(LOOK_EVERY_S):
        if arbiter.loop is not None:
            arbiter.loop.add_callback(_look, arbiter)
    server.stop()


async def _look(arbiter: Any) -> None:
    """Starts workers for those that died; while the supervisor is busy with another command it is asked again later."""
    try:
        await arbiter.manage_watchers()
    except Exception as error:  # circus raises ConflictError and others of its own; the next look is half a second away
        _log.debug("supervisor.busy", reason=str(error))


if __name__ == "__main__":
    main()
