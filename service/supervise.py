"""Runs the BentoML service in the foreground and brings a dead worker back within about a second.

BentoML's supervisor looks at its workers every ten seconds, in a container not at all, and waits a day for a worker that does
not end. Here its own look is switched off and it is told to look every half second.
"""

import asyncio
import signal
import threading
from typing import Any

import structlog

from service.app import Plumbline
from service.settings import read_settings

LOOK_EVERY_S = 0.5
GRACE_S = 15.0  # three times the default deadline of a request: what has not ended by then is stuck, and is killed
_log = structlog.get_logger()


def main() -> None:
    """Serves until SIGTERM or SIGINT; then the workers finish what they have."""
    settings = read_settings()
    service: Any = Plumbline  # BentoML ships no types: the decorator made it a LaneService
    server = service.serve_http(host=settings.host, port=settings.port, threaded=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # set after BentoML's own handler, which would stop it in the middle of a look
        signal.signal(number, lambda *_: stop.set())
    arbiter = server.arbiter
    for watcher in arbiter.watchers:
        watcher.respawn, watcher.graceful_timeout = True, GRACE_S
    started = False
    # the supervisor refuses a command while another runs: one look at a time, none in flight when it is told to stop,
    # and no stop before its own start is over
    while not (stop.wait(LOOK_EVERY_S) and started):
        started = _look(arbiter) or started
    server.stop()


def _look(arbiter: Any) -> bool:
    """Starts workers for those that died; False while the supervisor is still starting."""
    if arbiter.loop is None or arbiter.ctrl.caller is None:
        return False
    return asyncio.run_coroutine_threadsafe(_manage(arbiter), arbiter.loop.asyncio_loop).result()


async def _manage(arbiter: Any) -> bool:
    arbiter.ctrl.caller.stop()
    try:
        await arbiter.manage_watchers()
    except Exception as error:  # circus raises ConflictError and others of its own; the next look is half a second away
        _log.debug("supervisor.busy", reason=str(error))
        return False
    return True


if __name__ == "__main__":
    main()
