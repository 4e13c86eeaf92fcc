"""Runs the BentoML service in the foreground: brings dead workers back, replaces them on SIGHUP, ends them on SIGTERM.

BentoML's supervisor looks at its workers every ten seconds, in a container not at all, and waits a day for a worker that does
not end. Here its own look is switched off and it is told to look every half second.
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from msgspec.structs import replace

from models.looking import look_until
from service.app import Plumbline
from service.crew import Crew, SupervisorGone
from service.drain import FLUSH_S, NEW_CONNECTION_S
from service.in_flight import BOARD, Board
from service.inquest import Inquest
from service.presence import Presence, Reload, ServiceSign, worker_signs
from service.rolling import ReloadFailed, Rolling
from service.settings import Settings, read_settings
from service.wiring import configure_logging

LOOK_EVERY_S = 0.5
START_WITHIN_S = 60.0  # of BentoML's supervisor; it forks its workers within a second, and does not wait for them
# Workers whose supervisor was killed let go of it within half a second, or when they have started.
ADDRESS_WITHIN_S = 5.0
SEAL_S = 5.0  # for the last fsync of the log on a slow disk
HURRY_S = 3.0  # from the second signal to SIGKILL: enough to record what is cut off
CANNOT = 3
_log = structlog.get_logger()


def main() -> int:
    """Serves until SIGTERM or SIGINT; then the workers finish what they have. The exit code is 3 where it cannot serve."""
    configure_logging()
    settings = read_settings()
    if (reason := _unbindable(settings)) is not None:
        sys.stderr.write(f"plumbline: {settings.host}:{settings.port}: {reason}; take another with --host or --port\n")
        return CANNOT
    board = Board()
    os.environ[BOARD] = board.place  # the workers have this process's environment
    service: Any = Plumbline  # BentoML ships no types: the decorator made it a LaneService
    server = service.serve_http(host=settings.host, port=settings.port, threaded=True)
    crew = Crew(server, size=settings.workers, kill_after_s=_leave_s_max(settings))
    supervisor = Supervisor(crew, settings, board)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # set after BentoML's own handler, which would stop it in the middle of a look
        signal.signal(number, lambda number, _: supervisor.told(number))
    _log.info("supervisor.listening", workers=settings.workers)
    try:
        return supervisor.run()
    finally:
        supervisor.presence.close()


class Supervisor:
    """Tells the crew what to do, one thing at a time.

    Laws
    - One look at a time, none in flight when it is told to stop, and no stop before BentoML's own start is over (a second).
    - Told to stop a second time, it leaves nobody behind who has not ended within HURRY_S; in that start, nobody at all.
    - A reload takes no time to leave from the workers that it replaces: the longer of the old and the new settings holds.
    """

    def __init__(self, crew: Crew, settings: Settings, board: Board) -> None:
        self._crew = crew
        self._stop, self._reload, self._hurried = threading.Event(), threading.Event(), threading.Event()
        self._leaving = False
        self._stop_signal = signal.SIGTERM
        self._on_terminal = os.isatty(0)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{host}:{settings.port}"
        self._sign = ServiceSign(os.getpid(), time.time_ns() // 1000, settings.workers, url=url)
        self._told: ServiceSign | None = None
        self.presence = Presence(settings.service_path)
        self._inquest = Inquest(settings, board)

    def told(self, number: int) -> None:
        """SIGHUP replaces the workers (but a terminal that was closed sends it and means stop); others stop, twice: now."""
        if number == signal.SIGHUP and not (self._on_terminal and not os.isatty(0)):
            self._reload.set()
        elif self._stop.is_set():
            self._hurried.set()
            if self._leaving:
                self._crew.hurry(HURRY_S)
        else:
            self._stop_signal = signal.SIGTERM if number == signal.SIGTERM else signal.SIGINT
            self._stop.set()

    def run(self) -> int:
        """Until told to stop. The exit code."""
        try:
            if not look_until(lambda: self._look() or None, START_WITHIN_S):  # it cannot be stopped in the middle
                raise SupervisorGone
            while not self._stop.wait(LOOK_EVERY_S):
                self._announce()
                self._look()
                if self._reload.is_set():
                    self._replace_workers()
                    self._announce()
            self._leaving = True  # from here on a signal finds somebody to hurry
            self._crew.stop(signal.SIGKILL if self._hurried.is_set() else self._stop_signal)
        except SupervisorGone as error:
            _log.error("supervisor.gone", reason=str(error))
            return CANNOT
        return 0

    def _look(self) -> bool:
        """Workers for those that died, and what they died of."""
        started = self._crew.look()
        self._inquest.look(self._crew.dead())
        return started

    def _announce(self) -> None:
        """So that `plumbline reload` finds this process, and the result of what it asked for."""
        if self._told is not self._sign and self.presence.say(self._sign):
            self._told = self._sign

    def _replace_workers(self) -> None:
        self._reload.clear()
        begun_ns, replaced, failed = time.monotonic_ns(), 0, ""
        try:
            settings = read_settings()  # also for the new workers: what they could not read is found out here
            after_s = _leave_s_max(settings)
            self._crew.kill_after_s = leave_s_max = max(self._crew.kill_after_s, after_s)
            replaced = Rolling(
                workers=self._crew,
                signs=lambda: worker_signs(settings.workers_root),
                wait=self._wait,
                hold=self._hold,
                start_s_max=settings.start_s_max,
                leave_s_max=leave_s_max,
            ).replace_all()
            self._crew.kill_after_s = after_s  # those who had longer have gone
        except ReloadFailed as error:
            replaced, failed = error.replaced, str(error)
        except ValueError as error:  # pydantic's and tomllib's
            failed = f"reload: settings: {error}; no worker was replaced"
        took_s = (time.monotonic_ns() - begun_ns) / 1e9
        (_log.error if failed else _log.info)("reload.ended", replaced=replaced, took_s=took_s, failed=failed)
        self._sign = replace(self._sign, reload=Reload(begun_ns, took_s, replaced, failed))

    def _hold(self, hold: bool) -> None:
        self._sign = replace(self._sign, hold=hold)
        self._announce()

    def _wait(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Looks after the workers while a reload waits; False at the deadline, or when the service is told to stop."""
        end_s = time.monotonic() + within_s
        while not (held := condition()) and time.monotonic() < end_s and not self._stop.wait(LOOK_EVERY_S / 5):
            self._look()
        return held


def _leave_s_max(settings: Settings) -> float:
    """When a worker that was told to end has had time for everything; then it is killed."""
    return settings.drain_s + NEW_CONNECTION_S + settings.grace_s + FLUSH_S + SEAL_S


def _unbindable(settings: Settings) -> str | None:
    """Why the address cannot be taken: BentoML's supervisor would not say, and not end."""
    reason = ""

    def bound() -> bool | None:
        nonlocal reason
        try:
            family, *_, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                return True
        except OSError as error:
            reason = error.strerror or str(error)
            return None

    return None if look_until(bound, ADDRESS_WITHIN_S) else reason


if __name__ == "__main__":
    sys.exit(main())
