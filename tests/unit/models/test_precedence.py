"""What stands behind those that serve does so in every way in which the kernel shares a core."""

import ctypes
import os
import platform
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.precedence import NICE_MAX, SLICE_NS, STEPS_BACK, group_nice, step_back, step_up
from tests.processes import wait_until

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
    assert group_nice(child) == NICE_MAX
    before = os.getpriority(os.PRIO_PROCESS, child)
    wait_until(lambda: stepped_up(child), 10, "a place that it was given back")
    assert os.getpriority(os.PRIO_PROCESS, child) == before  # which only root might raise


def stepped_up(child: int) -> bool:
    """Who is not root may say so once in 100 ms for all its sessions."""
    step_up(child)
    return group_nice(child) == min(NICE_MAX, group_nice(os.getpid()) + STEPS_BACK)


def test_who_stands_behind_ends_its_slices_soon(child: int) -> None:
    step_back(child)
    told = attributes(child)
    if told is None or tuple(map(int, platform.release().split("-")[0].split(".")[:2])) < (6, 12):
        pytest.skip("this kernel knows no slice of one process")
    assert told == SLICE_NS


def attributes(pid: int) -> int | None:
    """Its slice, in ns; None where the system call has no number here."""
    number = {"x86_64": 315, "aarch64": 275}.get(platform.machine())
    if number is None:
        return None
    place = ctypes.create_string_buffer(48)
    assert ctypes.CDLL(None).syscall(number, pid, place, 48, 0) == 0
    return int(struct.unpack_from("=Q", place, 24)[0])


def test_the_session_of_who_starts_it_stays_where_it_was(child: int) -> None:
    before = group_nice(os.getpid()), os.getpriority(os.PRIO_PROCESS, 0)
    step_back(child)
    assert (group_nice(os.getpid()), os.getpriority(os.PRIO_PROCESS, 0)) == before


def test_a_process_that_has_ended_is_let_be() -> None:
    process = subprocess.Popen(["true"], start_new_session=True)
    process.wait()
    step_back(process.pid)
    step_up(process.pid)
    assert group_nice(process.pid) == 0
