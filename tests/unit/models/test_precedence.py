"""What stands behind those that serve does so in every way in which the kernel shares a core."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.precedence import NICE_MAX, STEPS_BACK, group_nice, step_back

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")


@pytest.fixture
def child() -> Iterator[int]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True) as process:  # ends with its stdin
        yield process.pid
        process.communicate()


def test_a_process_stands_behind_in_its_session_and_as_a_session(child: int) -> None:
    step_back(child)
    here = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, child) == min(NICE_MAX, here + STEPS_BACK)
    assert os.sched_getscheduler(child) == os.SCHED_BATCH
    if not Path(f"/proc/{child}/autogroup").exists():
        pytest.skip("this kernel groups no sessions")
    assert group_nice(child) == min(NICE_MAX, group_nice(os.getpid()) + STEPS_BACK)


def test_the_session_of_who_starts_it_stays_where_it_was(child: int) -> None:
    before = group_nice(os.getpid()), os.getpriority(os.PRIO_PROCESS, 0)
    step_back(child)
    assert (group_nice(os.getpid()), os.getpriority(os.PRIO_PROCESS, 0)) == before


def test_a_process_that_has_ended_is_let_be() -> None:
    process = subprocess.Popen(["true"], start_new_session=True)
    process.wait()
    step_back(process.pid)
    assert group_nice(process.pid) == 0
