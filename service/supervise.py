"""Runs the BentoML service in the foreground and brings a dead worker back within about a second.

BentoML's supervisor looks at its workers every ten seconds, in a container not at all, and waits a day for a worker that does
not end. Here its own look is switched off and it is told to look every half second.
"""

import asyncio
import signal
import socket
import sys
import threading
from concurrent.futures import TimeoutError as NoAnswer
from typing import Any

import structlog

from service.app import Plumbline
from service.settings import Settings, read_settings
from service.wiring import configure_logging

LOOK_EVERY_S = 0.5
LOOK_WITHIN_S = 10.0  # spawning a worker takes milliseconds; a supervisor that does not answer so long has stopped
GRACE_S = 15.0  # three times the default deadline of a request: what has not ended by then is stuck, and is killed
CANNOT = 3
_log = structlog.get_logger()


def main() -> int:
    """Serves until SIGTERM or SIGINT; then the workers finish what they have. The exit code is 3 where it cannot serve."""
    configure_logging()
    settings = read_settings()
    if (reason := _unbindable(settings)) is not None:
        sys.stderr.write(f"plumbline: {settings.host}:{settings.port}: {reason}; take another with --host or --port\n")
        return CANNOT
    service: Any = Plumbline  # BentoML ships no types: the decorator made it a LaneService
    server = service.serve_http(host=settings.host, port=settings.port, threaded=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # set after BentoML's own handler, which would stop it in the middle of a look
        signal.signal(number, lambda *_: stop.set())
    return _supervise(server, stop)


def _supervise(server: Any, stop: threading.Event) -> int:
    """One look at a time, none in flight when the supervisor is told to stop, and no stop before its own start is over."""
    arbiter = server.arbiter
    for watcher in arbiter.watchers:
        watcher.respawn, watcher.graceful_timeout = True, GRACE_S
    started = False
    try:
        while not (stop.wait(LOOK_EVERY_S) and started):
            started = _look(arbiter) or started
    except NoAnswer:
        _log.error("supervisor.gone", within_s=LOOK_WITHIN_S)
        return CANNOT
    server.stop()
    return 0


def _look(arbiter: Any) -> bool:
    """Starts workers for those that died; False while the supervisor is still starting. Raises NoAnswer."""
    if arbiter.loop is None or arbiter.ctrl.caller is None:
        return False
    return asyncio.run_coroutine_threadsafe(_manage(arbiter), arbiter.loop.asyncio_loop).result(LOOK_WITHIN_S)


async def _manage(arbiter: Any) -> bool:
    arbiter.ctrl.caller.stop()
    try:
        await arbiter.manage_watchers()
    except Exception as error:  # circus raises ConflictError and others of its own; the next look is half a second away
        _log.debug("supervisor.busy", reason=str(error))
        return False
    return True


def _unbindable(settings: Settings) -> str | None:
    """Why the address cannot be taken: BentoML's supervisor would not say, and not end."""
    try:
        family, *_, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return None


if __name__ == "__main__":
    sys.exit(main())
