"""A measurement stands before the machine's other work while it lasts, and not longer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.precedence import NICE, forward, step_forward

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root may say so, and only Linux has sessions as groups"
)
GROUP = Path("/proc/self/autogroup")


def places() -> tuple[int, str]:
    return os.getpriority(os.PRIO_PROCESS, 0), GROUP.read_text() if GROUP.exists() else ""


def test_processes_are_put_before_others_and_one_that_has_ended_is_passed_over() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True) as process:  # ends with its stdin
        step_forward([process.pid])
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == NICE
        process.communicate()
    step_forward([process.pid])


def test_whoever_measures_gets_its_place_back() -> None:
    before = places()
    with forward():
        assert places()[0] == NICE
    assert places() == before
