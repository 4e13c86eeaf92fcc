"""A rolling restart over workers that are only numbers: the order of things, and what happens when a new one fails."""

import signal
from collections.abc import Callable, Sequence

import pytest

from service.presence import WorkerSign
from service.rolling import ReloadFailed, Rolling

HELD, FREE = ["hold"], ["release"]
BOTH = {"payments": "1", "tumours": "1"}


class Workers:
    """Processes that start and end at once; `fails`: pids that end while they start, `serves`: what the others route."""

    def __init__(self, *, fails: Sequence[int] = (), serves: dict[int, dict[str, str]] | None = None) -> None:
        self.alive = [1, 2]
        self.fails, self.serves = fails, serves or {}
        self.done: list[str] = []

    def pids(self) -> list[int]:
        return list(self.alive)

    def start_another(self) -> int:
        new = max([*self.alive, 2]) + 1
        self.done.append(f"start {new}")
        if new not in self.fails:
            self.alive.append(new)
        return new

    def send_away(self, pid: int, number: int) -> None:
        self.done.append(f"{signal.Signals(number).name} {pid}")
        if pid in self.alive:
            self.alive.remove(pid)

    def signs(self) -> list[WorkerSign]:
        return [WorkerSign(pid, pid, 1, self.serves.get(pid, BOTH), {}, ("no such file",)) for pid in self.alive]


def rolling(workers: Workers, signs: Callable[[], Sequence[WorkerSign]] | None = None) -> Rolling:
    return Rolling(
        workers=workers,
        signs=signs or workers.signs,
        wait=lambda condition, _: condition(),
        hold=lambda hold: workers.done.append("hold" if hold else "release"),
        start_s_max=60,
        leave_s_max=20,
    )


def test_each_worker_leaves_after_its_successor_is_there() -> None:
    workers = Workers()
    assert rolling(workers).replace_all() == 2
    assert workers.done == [*HELD, "start 3", *FREE, "SIGHUP 1", *HELD, "start 4", *FREE, "SIGHUP 2"]
    assert workers.alive == [3, 4]


def test_a_worker_that_died_meanwhile_needs_no_successor_from_here() -> None:
    workers = Workers()
    send_away = workers.send_away

    def and_kill_the_second(pid: int, number: int) -> None:
        send_away(pid, number)
        workers.alive = [5, 3]  # 2 died, and was replaced by the look

    workers.send_away = and_kill_the_second  # type: ignore[method-assign]
    assert rolling(workers).replace_all() == 2
    assert workers.done == [*HELD, "start 3", *FREE, "SIGHUP 1"]


@pytest.mark.parametrize(
    ("workers", "why", "replaced", "alive"),
    [
        (Workers(fails=[3]), "ended while it started", 0, [1, 2]),
        (Workers(fails=[4]), "ended while it started", 1, [2, 3]),
        (Workers(serves={3: {"tumours": "1"}}), "does not serve payments: no such file", 0, [1, 2]),
    ],
)
def test_the_old_ones_stay_where_a_new_one_fails(workers: Workers, why: str, replaced: int, alive: list[int]) -> None:
    with pytest.raises(ReloadFailed, match=why) as failed:
        rolling(workers).replace_all()
    assert (failed.value.replaced, workers.alive) == (replaced, alive)
    assert f"{replaced} of 2 workers replaced" in str(failed.value)


def test_a_new_worker_that_is_not_warm_in_time_is_stopped() -> None:
    workers = Workers()
    with pytest.raises(ReloadFailed, match="no new worker within 60 s"):
        rolling(workers, signs=lambda: [sign for sign in workers.signs() if sign.pid < 3]).replace_all()
    assert workers.done == [*HELD, "start 3", "SIGKILL 3", *FREE] and workers.alive == [1, 2]


def test_a_model_that_is_gone_on_purpose_from_the_old_worker_too_is_no_loss() -> None:
    only = {"tumours": "1"}
    assert rolling(Workers(serves=dict.fromkeys((1, 2, 3, 4), only))).replace_all() == 2
