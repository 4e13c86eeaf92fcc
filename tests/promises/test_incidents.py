"""The named incidents, twice each: every one is told by its name (tests/promises/incidents.py has the rates)."""

import pytest

from tests.promises.incidents import CASES, Simulation

pytestmark = pytest.mark.simulation

SEEDS = (9_001, 9_002)
MISSED_MAX = 1  # of all cases and seeds together: a few hundred rows at night may be too few for a name


def test_incidents_are_called_by_their_names_and_never_by_another() -> None:
    simulation = Simulation(rows_per_minute=300.0)
    runs = [(seed, name, run) for seed in SEEDS for name, run in simulation.runs(seed, CASES).items()]
    assert len(runs) == len(SEEDS) * len(CASES)
    assert [run for run in runs if run[2].verdict == "wrong"] == []
    assert len([run for run in runs if run[2].verdict != "right"]) <= MISSED_MAX
