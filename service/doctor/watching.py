"""What does the monitor say of itself: `plumbline monitor doctor`, in a process of its own.

The service does not know the monitor's settings, receivers and checkpoint, nor does it import what does.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from models.errors import UNDECODABLE
from models.finding import Finding, bad

COMMAND = (sys.executable, "-m", "plumbline", "monitor")
WITHIN_S = 120.0  # 32 receivers that do not answer, at their timeout each, in parallel; and a start


def watching(home: Path) -> Iterator[Finding]:
    """Its findings; one of them where it cannot even read its settings."""
    command = [*COMMAND, "--home", str(home), "doctor", "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=WITHIN_S)
    try:
        yield from msgspec.json.decode(done.stdout, type=list[Finding])
    except UNDECODABLE:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        yield bad(
            "monitor settings",
            said,
            "settings that docs/reference.md names",
            f"mend [monitor] in {home}/plumbline.toml",
        )
