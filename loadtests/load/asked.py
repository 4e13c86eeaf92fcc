"""What did the user ask for? Locust's options and ours as one value; what is not said, the scenario says.

A form of locust's page gives numbers as text, and an empty one for what was left out.
"""

from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.load.objective import Objective
from loadtests.load.plans import PLANS, USERS, Plan, Scenario
from loadtests.traffic import Trouble
from models.demo.incidents import INCIDENTS, Incident

HOME, TOKEN = "PLUMBLINE_HOME", "PLUMBLINE_ADMIN_TOKEN"
BEGINS = 1 / 6  # part of the scenario `incident` after which it begins


@dataclass(frozen=True, slots=True)
class Asked:
    """One run."""

    scenario: Scenario
    seconds: float
    peak: int
    objective: Objective
    trouble: Trouble | None
    seed: int
    home: Path
    report: Path
    token: str

    @property
    def plan(self) -> Plan:
        return PLANS[self.scenario]


def add_options(parser: Any) -> None:
    """Those that are ours, to locust's parser; all but places and secrets are on its page too."""
    plans = "; ".join(f"{name.value}: {plan.what} ({plan.seconds:g} s)" for name, plan in PLANS.items())
    sizes = "; ".join(f"{name.value}: {damage.size_means}, {damage.size:g}" for name, damage in INCIDENTS.items())
    parser.add_argument("--scenario", choices=[*Scenario], default=Scenario.STEADY.value, help=plans)
    parser.add_argument("--p99-ms", default="", help="objective: p99 of answers; default: the scenario's")
    parser.add_argument("--errors-share", default="", help="objective: share of requests that may go wrong, 0 to 1")
    parser.add_argument("--incident", choices=["", *Incident], default="", help="what goes wrong with the payments")
    parser.add_argument(
        "--incident-after", default="", help="seconds of normal traffic before it: a sixth of `incident`, else 0"
    )
    parser.add_argument("--incident-size", default="", help=f"what it means and its default: {sizes}")
    parser.add_argument("--seed", type=int, default=1, help="of the simulated rows")
    parser.add_argument(
        "--home",
        env_var=HOME,
        default=".plumbline",
        help="of the service: its log and memory are looked at",
        include_in_web_ui=False,
    )
    parser.add_argument("--report", default="", help="default: locust-report-SCENARIO.html", include_in_web_ui=False)
    parser.add_argument(
        "--admin-token",
        env_var=TOKEN,
        default="",
        help="lets the scenario canary change the routes",
        include_in_web_ui=False,
    )


def asked(options: Namespace) -> Asked:
    """Raises ValueError where a number is none, or out of its bounds."""
    scenario = Scenario(options.scenario)
    plan = PLANS[scenario]
    seconds = float(options.run_time or plan.seconds)
    usual = plan.objective
    return Asked(
        scenario=scenario,
        seconds=seconds,
        peak=int(options.num_users or USERS),
        objective=Objective(
            _number(options.p99_ms, usual.p99_ms, "--p99-ms"),
            _number(options.errors_share, usual.errors_share, "--errors-share"),
        ),
        trouble=_trouble(options, plan, seconds),
        seed=int(options.seed),
        home=Path(options.home),
        report=Path(options.report or f"locust-report-{scenario}.html"),
        token=options.admin_token,
    )


def _trouble(options: Namespace, plan: Plan, seconds: float) -> Trouble | None:
    incident = Incident(options.incident) if options.incident else plan.incident
    if incident is None:
        return None
    usual_s = seconds * BEGINS if plan.incident is not None else 0.0
    after_s = _number(options.incident_after, usual_s, "--incident-after")
    size = _number(options.incident_size, INCIDENTS[incident].size, "--incident-size")
    return Trouble(incident, after_s, size)


def _number(text: str, default: float, option: str) -> float:
    if not text:
        return default
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{option}: found {text!r}, expected a number") from None
