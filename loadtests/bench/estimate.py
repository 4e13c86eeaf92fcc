"""How long will a run take? Told before it begins; from the table of scenarios, not from a clock."""

from collections.abc import Sequence

from loadtests.bench.measure import CAPACITY_S, WARM_UP_S
from loadtests.bench.open_load import SKIP_S
from loadtests.bench.scenarios import Cell, Closed, Scenario

CHECK_S = 0.2  # the system is asked once
END_S = 0.8  # most end within half of it, Ray takes 5
PREPARE_S = 4.0  # a model registered with its training data
ENVIRONMENT_S = 30.0  # an environment made from downloaded wheels; Ray's is 80 MB


def cell_s(scenario: Scenario, cell: Cell, seconds: int) -> float:
    """One cell in one round."""
    fixed = cell.system.start_s + CHECK_S + END_S
    if not cell.system.ready:
        return fixed + seconds
    if isinstance(scenario.load, Closed):
        return fixed + WARM_UP_S + seconds
    return fixed + WARM_UP_S + CAPACITY_S + SKIP_S + seconds


def run_s(scenarios: Sequence[Scenario], *, rounds: int, seconds: int, environments_to_make: int) -> float:
    """The whole run."""
    measured = sum(cell_s(scenario, cell, seconds) for scenario in scenarios for cell in scenario.cells)
    sites = {(scenario.model, cell.system.name): cell.system for scenario in scenarios for cell in scenario.cells}
    prepared = sum(len(system.prepare) * PREPARE_S for (model, _), system in sites.items() if model != "payments")
    return measured * rounds + prepared + environments_to_make * ENVIRONMENT_S


def sentence(scenarios: Sequence[Scenario], *, rounds: int, seconds: int, environments_to_make: int) -> str:
    """For people who wait."""
    total_s = run_s(scenarios, rounds=rounds, seconds=seconds, environments_to_make=environments_to_make)
    cells = sum(len(scenario.cells) for scenario in scenarios)
    made = f", {environments_to_make} environments to make" if environments_to_make else ""
    return (
        f"{len(scenarios)} scenarios, {cells} measurements a round, {rounds} rounds of {seconds} s each{made}: "
        f"about {total_s / 60:.0f} minutes"
    )
