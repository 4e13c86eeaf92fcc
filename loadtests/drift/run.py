"""How is a system run on a scenario: its target program as a process in its own environment, one after the other on one core.

Law: a system that fails is reported with what it wrote; it ends nobody else's measurement.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from loadtests.bench.environments import interpreter
from loadtests.drift.score import Alarm, Ran, Told
from loadtests.drift.systems import System

TARGETS = Path(__file__).parent / "targets"
ROOT = Path(__file__).parents[2]
DEADLINE_S = 7200  # a target on a core that others use as well
# One thread each: what a monitor beside a service has.
ENVIRONMENT = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1"
) | {"NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}


class TargetFailed(Exception):
    """A system could not be measured. `args`: its name, what it wrote last."""

    def __init__(self, system: str, wrote: str) -> None:
        super().__init__(system, wrote)
        self.system, self.wrote = system, wrote

    def __str__(self) -> str:
        return f"{self.system} ended without a result; it wrote last: {self.wrote}"


def ran(system: System, scenario: Path, cache: Path, *, rows_max: int) -> Ran:
    """What it found. Raises TargetFailed."""
    words = [TARGETS / system.target, scenario, system.variant, rows_max]
    lines = program(system.name, [interpreter(system.requirements, cache), *words]).splitlines()
    try:
        alarms = tuple(msgspec.json.decode(line, type=Alarm) for line in lines[:-1])
        return Ran(alarms, msgspec.json.decode(lines[-1], type=Told))
    except (IndexError, msgspec.MsgspecError) as error:
        raise TargetFailed(system.name, str(error)) from error


def program(name: str, words: Sequence[object]) -> str:
    """Its standard output. Raises TargetFailed."""
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            [str(word) for word in words],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TargetFailed(name, f"nothing within {DEADLINE_S} s") from error
    if done.returncode:
        raise TargetFailed(name, done.stderr.strip()[-800:])
    return done.stdout
