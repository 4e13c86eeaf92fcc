"""What is kept: a run replaces what it measured, leaves the rest with its date, and reads back what it wrote."""

from pathlib import Path

from loadtests.bench.document import document
from loadtests.bench.results import Result, Results, read, write
from loadtests.bench.scenarios import SCENARIOS
from tests.unit.loadtests.bench.test_bars import rounds_of

FIRST, SECOND, *_ = (scenario.name for scenario in SCENARIOS)


def result(scenario: str, measured_at: str, **failed: str) -> Result:
    return Result(
        measured_at=measured_at,
        seconds=3,
        load_before=0.12,
        machine={"cores": "2"},
        commands=["plumbline serve"],
        calibration=[[1_900.0, 1_950.0], [1_910.0, 1_940.0]],
        failed=failed,
        rounds=rounds_of(scenario),
    )


def test_a_run_of_one_scenario_leaves_the_others_and_their_dates() -> None:
    before = Results().replaced({FIRST: result(FIRST, "monday"), SECOND: result(SECOND, "monday")}, {"": ["a==1"]})
    after = before.replaced({FIRST: result(FIRST, "friday")}, {"x==2": ["x==2"]})
    assert {name: one.measured_at for name, one in after.scenarios.items()} == {FIRST: "friday", SECOND: "monday"}
    assert set(after.environments) == {"", "x==2"}


def test_scenarios_stand_in_the_order_of_the_table_and_unknown_ones_are_gone() -> None:
    mixed = Results(scenarios={SECOND: result(SECOND, "now"), "removed": result(FIRST, "then")})
    assert list(mixed.replaced({FIRST: result(FIRST, "now")}, {}).scenarios) == [FIRST, SECOND]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read(tmp_path) == Results()
    kept = Results().replaced({FIRST: result(FIRST, "now", litserve="no")}, {"": ["a==1"]})
    write(tmp_path / "deep", kept)
    assert read(tmp_path / "deep") == kept


def test_the_document_has_the_table_the_failure_the_command_and_the_noise() -> None:
    failed = "litserve: found exit code 1, expected a server"
    text = document(Results().replaced({FIRST: result(FIRST, "2026-11-20 20:00 UTC", litserve=failed)}, {"": []}))
    assert "| plumbline | 8,000 | 8,000–8,000 | 1.50 | 4.00 | 1.00 × | 1.00–1.00 |" in text
    for part in (failed, "plumbline serve", "load before 0.12", "calibration 1,900–1,950 MiB/s", "## Bars"):
        assert part in text


def test_a_system_without_a_measurement_keeps_its_line() -> None:
    one = result(FIRST, "now")
    without = [{name: m for name, m in each.items() if name != "litserve"} for each in one.rounds]
    kept = Result(**{**{name: getattr(one, name) for name in one.__struct_fields__}, "rounds": without})
    assert "| litserve | not measured |" in document(Results(scenarios={FIRST: kept}))


def test_every_scenario_can_be_told() -> None:
    text = document(Results(scenarios={one.name: result(one.name, "now") for one in SCENARIOS}))
    for scenario in SCENARIOS:
        assert f"## {scenario.title}" in text
        for cell in scenario.cells:
            assert f"| {cell.name} |" in text
