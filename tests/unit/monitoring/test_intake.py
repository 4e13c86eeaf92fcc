from pathlib import Path

import numpy as np
import pytest

from monitoring.fold import fold
from monitoring.intake import Intake
from monitoring.rules import Rules
from monitoring.state import State
from service.featurelog.record import Record
from tests.unit.monitoring.made import START_MINUTE, model, traffic, write_log

MADE = model(rows=1000)
RULES = Rules()


def records(seed: int) -> list[Record]:
    rng = np.random.default_rng(seed)
    return traffic(rng, minutes=range(START_MINUTE, START_MINUTE + 60), rows_per_minute=3)


def read_all(home: Path, records_max: int) -> tuple[State, int]:
    """The state after the whole log, and how many chunks were not settled."""
    intake, state, unsettled = Intake(home / "log", {}, records_max), State(), 0
    while True:
        chunk, settled = intake.read()
        unsettled += not settled
        fold(state, chunk, settled=settled, rules=RULES, references=MADE.references())
        if chunk.caught_up:
            return state, unsettled


@pytest.mark.parametrize("records_max", [7, 100, 10_000])
def test_however_small_the_pieces_no_writer_is_made_late_by_another(tmp_path: Path, records_max: int) -> None:
    for writer in ("w0", "w1", "w2"):
        write_log(tmp_path, MADE, records(int(writer[1])), writer=writer)
    state, unsettled = read_all(tmp_path, records_max)
    assert state.counters.records == 3 * 181
    assert state.counters.late == 0
    assert state.closed == START_MINUTE + 59
    assert (unsettled > 0) is (records_max < 3 * 181)


def test_going_back_reads_the_same_again(tmp_path: Path) -> None:
    write_log(tmp_path, MADE, records(0))
    intake = Intake(tmp_path / "log", {}, 50)
    intake.read()
    middle = intake.positions
    first, _ = intake.read()
    intake.go_back(middle)
    again, _ = intake.read()
    assert [run.records for run in again.runs] == [run.records for run in first.runs]
