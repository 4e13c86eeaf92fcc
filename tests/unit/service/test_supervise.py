"""What the supervisor tells its crew, in which order: workers that are only numbers, signals that come when they come."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.crew import SupervisorGone
from service.in_flight import Board
from service.inquest import Dead
from service.presence import Presence, WorkerSign
from service.settings import Settings
from service.supervise import CANNOT, HURRY_S, Supervisor, _leave_s_max

pytestmark = pytest.mark.slow

LONG_S, SHORT_S = 60.0, 1.0


class Workers:
    """One worker that serves; `on_look(n)` is called at the nth look, and says whether the supervisor has started."""

    def __init__(self, settings: Settings, on_look: Callable[[int], bool]) -> None:
        self._root, self._on_look, self._looks = settings.workers_root, on_look, 0
        self.kill_after_s = _leave_s_max(settings)
        self.alive: dict[int, Presence] = {}
        self.done: list[tuple[Any, ...]] = []
        self.start_another()

    def look(self) -> bool:
        self._looks += 1
        return self._on_look(self._looks)

    def dead(self) -> list[Dead]:
        return []

    def pids(self) -> list[int]:
        return list(self.alive)

    def start_another(self) -> int:
        pid = max(self.alive, default=0) + 1
        presence = self.alive[pid] = Presence(self._root / f"{pid}.json")
        assert presence.say(WorkerSign(pid=pid, started_us=pid, generation=1, models={}, versions={}))
        return pid

    def send_away(self, pid: int, number: int) -> None:
        self.done.append((signal.Signals(number).name, pid, self.kill_after_s))
        self.alive.pop(pid).close()

    def stop(self, number: int) -> None:
        self.done.append(("stop", signal.Signals(number).name))
        for pid in self.pids():
            self.alive.pop(pid).close()

    def hurry(self, within_s: float) -> None:
        self.done.append(("hurry", within_s))


def supervised(tmp_path: Path, on_look: Callable[[Supervisor, int], bool], **given: Any) -> tuple[Workers, int]:
    """What was done with the workers, and the exit code."""
    settings = Settings(home=tmp_path, **given)
    workers = Workers(settings, lambda n: on_look(supervisor, n))
    supervisor = Supervisor(workers, settings, Board())  # type: ignore[arg-type]
    try:
        return workers, supervisor.run()
    finally:
        supervisor.presence.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_stops_what_was_started_and_a_second_one_kills_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    def once(supervisor: Supervisor, n: int) -> bool:
        if n == 1:
            supervisor.told(number)
        return n > 2

    def twice(supervisor: Supervisor, n: int) -> bool:
        if n <= 2:
            supervisor.told(number)
        return n > 2

    workers, code = supervised(tmp_path, once)
    assert (workers.done, code) == ([("stop", number.name)], 0)
    workers, code = supervised(tmp_path, twice)
    assert (workers.done, code) == ([("stop", "SIGKILL")], 0)


def test_a_second_signal_while_the_workers_leave_hurries_them(tmp_path: Path) -> None:
    class Leaving(Workers):
        def stop(self, number: int) -> None:
            super().stop(number)
            supervisor.told(signal.SIGINT)

    settings = Settings(home=tmp_path)

    def look(n: int) -> bool:
        if n == 2:
            supervisor.told(signal.SIGTERM)
        return True

    workers = Leaving(settings, look)
    supervisor = Supervisor(workers, settings, Board())  # type: ignore[arg-type]
    assert supervisor.run() == 0
    assert workers.done == [("stop", "SIGTERM"), ("hurry", HURRY_S)]
    supervisor.presence.close()


def test_a_crew_that_does_not_answer_ends_the_service(tmp_path: Path) -> None:
    def gone(supervisor: Supervisor, n: int) -> bool:
        raise SupervisorGone

    workers, code = supervised(tmp_path, gone)
    assert (workers.done, code) == ([], CANNOT)


@pytest.mark.parametrize(("before_s", "after_s"), [(LONG_S, SHORT_S), (SHORT_S, LONG_S)])
def test_a_reload_leaves_the_old_workers_the_longer_of_both_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before_s: float, after_s: float
) -> None:
    monkeypatch.setenv("PLUMBLINE_HOME", str(tmp_path))
    monkeypatch.setenv("PLUMBLINE_GRACE_S", str(after_s))

    def reload_then_stop(supervisor: Supervisor, n: int) -> bool:
        if n == 1:
            supervisor.told(signal.SIGHUP)
        elif n == 3:  # the look after the reload
            supervisor.told(signal.SIGTERM)
        return True

    workers, code = supervised(tmp_path, reload_then_stop, grace_s=before_s)
    others_s = _leave_s_max(Settings(home=tmp_path, grace_s=0))
    assert workers.done == [("SIGHUP", 1, others_s + LONG_S), ("stop", "SIGTERM")]
    assert (workers.kill_after_s, code) == (others_s + after_s, 0)
