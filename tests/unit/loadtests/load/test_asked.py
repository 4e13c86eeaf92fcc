"""What a run is asked for: what is not said, the scenario says, and what is no number is refused."""

from argparse import Namespace
from pathlib import Path

import pytest

from loadtests.load.asked import asked
from loadtests.load.objective import Objective
from loadtests.load.plans import PLANS, USERS, Scenario
from loadtests.traffic import Trouble
from models.demo.incidents import INCIDENTS, Incident


def options(**changes: object) -> Namespace:
    usual: dict[str, object] = {
        "scenario": "steady",
        "run_time": None,
        "num_users": None,
        "p99_ms": "",
        "errors_share": "",
        "incident": "",
        "incident_after": "",
        "incident_size": "",
        "seed": 1,
        "home": ".plumbline",
        "report": "",
        "admin_token": "",
    }
    return Namespace(**{**usual, **changes})


@pytest.mark.parametrize("scenario", sorted(Scenario))
def test_what_is_not_said_the_scenario_says(scenario: Scenario) -> None:
    found = asked(options(scenario=scenario.value))
    plan = PLANS[scenario]
    assert (found.seconds, found.peak, found.objective) == (plan.seconds, USERS, plan.objective)
    assert found.report == Path(f"locust-report-{scenario}.html")
    assert (found.trouble is not None) == (plan.incident is not None)


def test_what_is_said_wins_also_as_text_of_a_form() -> None:
    found = asked(options(scenario="spike", run_time=12, num_users=7, p99_ms="80", errors_share="0.1"))
    assert (found.seconds, found.peak, found.objective) == (12, 7, Objective(80, 0.1))


def test_an_incident_begins_a_sixth_into_its_scenario_and_at_once_elsewhere_unless_told() -> None:
    size = INCIDENTS[Incident.NULL_BURST].size
    burst = options(scenario="incident", incident="null_burst", run_time=30)
    assert asked(burst).trouble == Trouble(Incident.NULL_BURST, 5, size)
    assert asked(options(incident="null_burst", run_time=30)).trouble == Trouble(Incident.NULL_BURST, 0, size)
    assert asked(options(scenario="incident", incident_after="5", incident_size="0.5")).trouble == Trouble(
        Incident.UNIT_X1000, 5, 0.5
    )


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="--p99-ms: found 'fast', expected a number"):
        asked(options(p99_ms="fast"))
