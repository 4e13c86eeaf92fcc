"""What targets share: how a look is counted, and in which units a detector gets its numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.drift.run import ran
from loadtests.drift.scenarios import Scenario as Written
from loadtests.drift.scenarios import Stream, incidents
from loadtests.drift.systems import OURS
from loadtests.drift.targets.scenario import Report, Scenario


@pytest.fixture
def two_streams(tmp_path: Path) -> Scenario:
    """Two streams of five rows, a row a minute, of one column; the reference is 2, 6 and a null."""
    stream = Stream(cells=np.zeros((5, 1)), at_s=60.0 * np.arange(5), rejected=np.zeros(5, bool), about="")
    Written(
        name="two",
        columns=[{"name": "x", "kind": "float", "categories": []}],
        reference=np.array([[2.0], [6.0], [np.nan]]),
        reference_at_s=np.arange(3.0),
        streams=[stream, stream],
    ).write(tmp_path / "scenario.npz")
    return Scenario(str(tmp_path / "scenario.npz"))


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_row_at_which_several_columns_alarm_is_one_alarm_and_a_page_after_a_quiet_row(
    two_streams: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report(two_streams)
    report.rows(0, slice(0, 5), {4: "x", 2: "x,y", 3: "y"})
    report.end()
    *alarms, last = told(capsys)
    assert [(one["row"], one["what"], one["new"]) for one in alarms] == [
        (2, "x,y", True),
        (3, "y", False),
        (4, "x", False),
    ]
    assert (last["looks"], last["alarmed"]) == (5, 3)


def test_looks_are_numbered_in_their_stream_and_a_stream_begins_quiet(
    two_streams: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report(two_streams)
    for number, stream in two_streams.streams():
        for seen, what in ((1, ""), (3, "x"), (5, "x")):
            report.look(number, stream, seen, what)
    assert [(one["stream"], one["look"], one["new"]) for one in told(capsys)] == [
        (0, 2, True),
        (0, 3, False),
        (1, 2, True),
        (1, 3, False),
    ]


def test_a_detector_with_a_scale_gets_standard_deviations_from_the_mean_of_the_reference(two_streams: Scenario) -> None:
    assert two_streams.standardised(np.array([4.0, 8.0, np.nan]), 0)[:2].tolist() == [0.0, 2.0]
    two_streams.reference[:] = 7.0
    assert two_streams.standardised(np.array([7.0, 8.0]), 0).tolist() == [0.0, 1.0]


@pytest.mark.simulation
def test_our_looks_alarm_while_the_judgement_is_a_breach_and_our_page_is_the_event(tmp_path: Path) -> None:
    scenario = incidents(1, 1)
    path = tmp_path / "scenario.npz"
    scenario.write(path)
    found = ran(OURS, path, tmp_path, rows_max=len(scenario.streams[0].at_s))
    assert len(found.alarms) == 1
    assert found.told.looks / 3 < found.told.alarmed < found.told.looks * 2 / 3  # from hour 7 of 18
