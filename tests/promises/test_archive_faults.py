"""Each row of the log is in the archive exactly once, wherever the archiver ends: the short way; the long one is the script."""

import random
from pathlib import Path

import pytest

from tests.promises.archive_faults import ROWS
from tests.promises.faults.row import Row


@pytest.mark.simulation
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
def test_no_row_is_lost_or_doubled(row: Row, tmp_path: Path) -> None:
    tally = row.run(tmp_path, row.few, random.Random(1))
    assert tally.held, tally
