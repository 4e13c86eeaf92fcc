"""A file speaks for its process as long as that lives, and no longer."""

import os
import threading
from pathlib import Path

import pytest

from service.presence import SWEEP_AFTER_S, Presence, ServiceSign, WorkerSign, read_sign, worker_signs
from tests.processes import wait_until

pytestmark = pytest.mark.slow

ROUNDS = 1_000  # without a look at what the path leads to, one in a few dozen is lost


def sign(pid: int = 1, started_us: int = 1, **models: str) -> WorkerSign:
    return WorkerSign(pid=pid, started_us=started_us, generation=1, models=models, versions={})


def test_what_was_said_last_is_read_also_when_it_is_shorter(tmp_path: Path) -> None:
    presence = Presence(tmp_path / "workers" / "1.json")
    assert presence.say(sign(payments="1", tumours="1")) and presence.say(sign(rides="2"))
    assert read_sign(tmp_path / "workers" / "1.json", WorkerSign) == sign(rides="2")
    presence.close()
    assert list((tmp_path / "workers").iterdir()) == []
    presence.close()


def test_a_file_that_nobody_holds_speaks_for_nobody_and_is_swept_when_it_is_old(tmp_path: Path) -> None:
    left = tmp_path / "1.json"
    left.write_text('{"pid":1,"started_us":0,"workers":1}')
    assert read_sign(left, ServiceSign) is None and left.exists()
    past_s = left.stat().st_mtime - SWEEP_AFTER_S - 1
    os.utime(left, (past_s, past_s))
    assert read_sign(left, ServiceSign) is None and not left.exists()
    assert read_sign(left, ServiceSign) is None


def test_a_process_that_comes_while_its_file_is_swept_is_found_all_the_same(tmp_path: Path) -> None:
    path, ended = tmp_path / "1.json", threading.Event()

    def sweep() -> None:
        while not ended.is_set():
            read_sign(path, WorkerSign)

    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    for sweeper in sweepers:
        sweeper.start()
    try:
        for pid in range(ROUNDS):
            path.touch()
            os.utime(path, (0, 0))
            presence = Presence(path)
            wait_until(lambda presence=presence, pid=pid: presence.say(sign(pid)), 10, "nobody else looks at it")  # type: ignore[misc]
            assert read_sign(path, WorkerSign) == sign(pid)
            presence.close()
    finally:
        ended.set()
        for sweeper in sweepers:
            sweeper.join()


def test_a_file_that_another_process_holds_stays_its_own(tmp_path: Path) -> None:
    first, second = Presence(tmp_path / "service.json"), Presence(tmp_path / "service.json")
    assert first.say(sign(1)) and not second.say(sign(2))
    second.close()
    assert read_sign(tmp_path / "service.json", WorkerSign) == sign(1)
    first.close()
    assert second.say(sign(2))
    second.close()


def test_workers_are_listed_oldest_first_and_what_does_not_parse_is_not_there_yet(tmp_path: Path) -> None:
    young, old, torn = (Presence(tmp_path / f"{name}.json") for name in ("a", "b", "c"))
    assert young.say(sign(2, started_us=20)) and old.say(sign(1, started_us=10)) and torn.say(sign(3))
    (tmp_path / "c.json").write_bytes(b'{"pid":3,')
    assert [one.pid for one in worker_signs(tmp_path)] == [1, 2]
    for presence in (young, old, torn):
        presence.close()
