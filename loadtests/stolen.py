"""How much time did the machine below this one take?

A virtual machine whose host holds it to a share stands still for 100 ms at once. Such a pause is in every p99 that it meets
and says nothing of what is measured, so a round with one in it is measured again.
"""

import os
from pathlib import Path

SOME_S = 0.015  # one tick is also what an interrupt of the host costs
_STEAL = 8  # in a line of /proc/stat, after the processor's name; proc(5)


def stolen_s() -> float:
    """Since this machine started, over all its processors; 0 where it is not said."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
        return int(fields[_STEAL]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0
