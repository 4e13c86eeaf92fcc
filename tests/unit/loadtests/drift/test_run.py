"""The whole comparison in small: ours and what needs no environment of its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadtests.drift.__main__ import Amount, Bench, measured_without_losses
from loadtests.drift.document import document
from loadtests.drift.pictures import draw
from loadtests.drift.results import Results, read
from loadtests.drift.scenarios import incidents, losses, unchanged
from loadtests.drift.systems import SYSTEMS

pytestmark = pytest.mark.simulation

SMALL = Amount(months=((2, 1, 1),), trials=1, losses=0, rows_max=30_000)


def test_a_small_run_writes_tables_and_pictures_and_the_dummies_are_what_they_are(tmp_path: Path) -> None:
    at_hand = [one for one in SYSTEMS if not one.requirements]
    bench = Bench(at_hand, tmp_path, tmp_path, SMALL.rows_max)
    results = measured_without_losses(bench, SMALL, None, tmp_path)
    assert bench.failed == {}
    assert read(tmp_path).incidents.keys() == results.incidents.keys()
    (found,) = results.unchanged.values()
    assert found["never"].pages == found["plumbline"].pages == 0
    assert found["always"].alarmed_share == 1.0
    told = document(results, draw(results, tmp_path))
    for system in at_hand:
        assert f"| {system.name} |" in told
    for name in ("unchanged.png", "incidents.png"):
        assert (tmp_path / name).stat().st_size > 5_000
        assert f"({name})" in told
    assert results.incidents["mean_shift 0.5"]["plumbline"].detected == 1


def test_a_scenario_is_a_function_of_its_seed_and_damages_only_the_incidents_columns() -> None:
    assert np.array_equal(
        unchanged(1, 1, 1, 3).streams[0].cells, unchanged(1, 1, 1, 3).streams[0].cells, equal_nan=True
    )
    scenario = incidents(1, 3)
    names = [column["name"] for column in scenario.columns]
    stream = next(one for one in scenario.streams if one.about == "column_missing 1")
    assert stream.onset is not None
    assert stream.rejected[stream.onset :].all()
    assert not stream.rejected[: stream.onset].any()
    assert np.isnan(stream.cells[stream.onset :, names.index("country")]).all()
    assert not np.isnan(stream.cells[:, names.index("amount")]).any()


def test_what_needs_several_columns_is_left_out_of_a_scenario_of_one_and_the_document_says_why(tmp_path: Path) -> None:
    never = next(one for one in SYSTEMS if one.name == "never")
    odd = replace(never, name="odd", not_of_one="of one it is exact")
    bench = Bench([never, odd], tmp_path, tmp_path, 10_000)
    rows = np.ones((2, 100))
    assert [name for name, _ in bench.on(losses(np.ones(100), rows, 50))] == ["never"]
    assert [name for name, _ in bench.on(unchanged(1, 1, 1, 1))] == ["never", "odd"]
    assert bench.failed == {}
    assert "NannyML, PCA (of one column it is exact)" in document(Results({}, 1), {})


def test_a_slow_system_is_given_more_rows_where_they_are_narrower() -> None:
    slow = replace(SYSTEMS[0], rows_max=1_000)
    assert [slow.rows_of(columns) for columns in (1, 8, 11)] == [8_000, 1_000, 1_000]
