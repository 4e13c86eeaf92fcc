"""How is a version tried in a test: within small limits, remembered for the run unless a test wants its own place."""

from pathlib import Path

from models.trials import Trials
from models.verdict import Limits
from tests.processes import TRIALS

LIMITS = Limits(memory_bytes=512 << 20, cpu_s=5, wall_s=60, rows=8)


def trials(root: Path = TRIALS, limits: Limits = LIMITS) -> Trials:
    """The trials of a directory."""
    return Trials(root, limits)
