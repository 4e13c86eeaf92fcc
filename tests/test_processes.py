"""The tools that the other tests stand on: they wait, they end what they started, and they say why not."""

import sys
from pathlib import Path

import psutil
import pytest

from tests.processes import TRIALS, Process, answers, environment, free_port, wait_until

SLEEPER_WITH_CHILD = (
    "import signal, subprocess, sys\n"
    "subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
    "print('up', flush=True)\n"
    "signal.pause()\n"
)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_the_deadline_names_what_did_not_happen() -> None:
    with pytest.raises(AssertionError, match=r"^pigs fly: not so within 0\.05 s$"):
        wait_until(lambda: None, 0.05, "pigs fly")


def test_the_value_of_the_condition_comes_back() -> None:
    assert wait_until(iter([0, 0, 7]).__next__, 5, "a seven") == 7


def test_two_free_ports_differ_and_nobody_answers_there() -> None:
    first, second = free_port(), free_port()
    assert first != second
    assert not answers(f"http://127.0.0.1:{first}/")


def test_nothing_outlives_the_with() -> None:
    with Process(python(SLEEPER_WITH_CHILD)) as process:
        process.wait_until(lambda: "up" in process.output(), 10, "the process is up")
        child = wait_until(process.descendants, 10, "it has a child")[0]
    assert not process.alive()
    wait_until(lambda: not _runs(child), 10, "the child has ended")


def test_kill_takes_the_process_and_leaves_its_children() -> None:
    with Process(python(SLEEPER_WITH_CHILD)) as process:
        process.wait_until(lambda: "up" in process.output(), 10, "the process is up")
        child = process.descendants()[0]
        process.kill()
        assert process.returncode == -9
        assert _runs(child)


def test_a_process_that_ends_early_is_reported_with_its_output() -> None:
    dying = Process(python("print('sorry', flush=True); raise SystemExit(3)"))
    with dying, pytest.raises(AssertionError, match="ended with 3\nsorry"):
        dying.wait_until(lambda: False, 10, "it serves")


def test_the_settings_of_the_caller_do_not_leak_into_a_test(tmp_path: Path) -> None:
    ours = {key: value for key, value in environment().items() if key.startswith("PLUMBLINE_")}
    assert ours == {"PLUMBLINE_TRIALS_DIR": str(TRIALS)}
    assert environment(PLUMBLINE_HOME=str(tmp_path))["PLUMBLINE_HOME"] == str(tmp_path)


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
