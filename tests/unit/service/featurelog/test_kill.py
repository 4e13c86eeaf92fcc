"""The sentence of the writer's docstring: what was acknowledged survives the death of the process."""

import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from service.featurelog.files import list_segments
from service.featurelog.ledger import audit
from tests.processes import ROOT
from tests.unit.service.featurelog.writing import ids, read

pytestmark = pytest.mark.simulation

KILLS = 20
SEED = 20_261_120
LINES_MAX = 3_000  # read before a kill: several segments


def killed_after(root: Path, first: int, lines: int) -> list[str]:
    """Starts a writer, kills it when it has acknowledged so many, and returns everything that it acknowledged."""
    script = "tests.unit.service.featurelog.acknowledging"
    process = subprocess.Popen(
        [sys.executable, "-m", script, str(root), str(first)], stdout=subprocess.PIPE, cwd=ROOT, bufsize=0
    )
    assert process.stdout is not None
    with process.stdout as stdout:
        said = b""
        while said.count(b"\n") < lines:
            part = stdout.read(4096)
            assert part, f"the writer died by itself after {said.count(10)} lines"
            said += part
        process.send_signal(signal.SIGKILL)
        said += stdout.read()
        process.wait()
    return said.decode().splitlines()


def test_every_acknowledged_record_is_in_the_log_exactly_once_after_twenty_kills(tmp_path: Path) -> None:
    random_ = random.Random(SEED)
    acknowledged: list[str] = []
    for kill in range(KILLS):
        acknowledged += killed_after(tmp_path, kill * 1_000_000, random_.randrange(1, LINES_MAX))
    records, lost = read(tmp_path)
    times = Counter(ids(records))
    assert len(acknowledged) > KILLS, f"seed {SEED}"
    assert [name for name in acknowledged if times[name] != 1] == [], f"seed {SEED}"
    assert [name for name, n in times.items() if n > 1] == [], f"seed {SEED}"
    assert lost == [], f"seed {SEED}"
    assert {segment.epoch for segment in list_segments(tmp_path / "w0")} == set(range(1, KILLS + 1))
    found = audit(tmp_path)
    assert (found.gaps, found.corrupt, found.differences) == ((), (), ()), f"seed {SEED}"
