"""The estimate before a run: it grows with what is asked, and the default run is short enough to wait for."""

from dataclasses import replace

from loadtests.bench.__main__ import ROUNDS, SECONDS
from loadtests.bench.estimate import ENVIRONMENT_S, cell_s, run_s, sentence
from loadtests.bench.scenarios import SCENARIOS

DEFAULT_RUN_S_MAX = 20 * 60


def test_the_default_run_takes_no_longer_than_it_may() -> None:
    assert run_s(SCENARIOS, rounds=ROUNDS, seconds=SECONDS, environments_to_make=0) <= DEFAULT_RUN_S_MAX


def test_each_round_costs_every_cell_again() -> None:
    one, two = (run_s(SCENARIOS, rounds=n, seconds=3, environments_to_make=0) for n in (1, 2))
    assert two - one == sum(cell_s(scenario, cell, 3) for scenario in SCENARIOS for cell in scenario.cells)


def test_a_second_more_of_measurement_costs_each_cell_a_second() -> None:
    cells = sum(len(scenario.cells) for scenario in SCENARIOS)
    three, four = (run_s(SCENARIOS, rounds=2, seconds=n, environments_to_make=0) for n in (3, 4))
    assert four - three == 2 * cells


def test_environments_that_are_not_there_are_told() -> None:
    without, with_two = (run_s(SCENARIOS, rounds=1, seconds=1, environments_to_make=n) for n in (0, 2))
    assert with_two - without == 2 * ENVIRONMENT_S
    assert "2 environments to make" in sentence(SCENARIOS, rounds=1, seconds=1, environments_to_make=2)


def test_a_system_on_the_same_model_is_prepared_once() -> None:
    scenario = SCENARIOS[0]
    again = replace(scenario, name="again")
    once = run_s([scenario], rounds=1, seconds=1, environments_to_make=0)
    measured = sum(cell_s(scenario, cell, 1) for cell in scenario.cells)
    twice = run_s([scenario, again], rounds=1, seconds=1, environments_to_make=0)
    assert twice - once == measured
