"""Which scenarios are there, how many users have they at each moment, and when are they over?

Laws
- Every plan ends: beyond its length there are no users but None.
- While it lasts there is at least one user and never more than the peak.
- Shapes know parts of a run, not seconds: a run that is told another length has the same picture.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from loadtests.load.objective import Objective
from models.demo.incidents import Incident

USERS = 30  # at the peak, unless told; 10 requests a second each
ALL_KINDS = (
    "PaymentsByName",
    "PaymentsColumns",
    "PaymentsInBatches",
    "PaymentsWithLabels",
    "TumoursLists",
    "TumoursMatrix",
)
PAYMENTS = ("PaymentsByName", "PaymentsColumns", "PaymentsWithLabels")
SLOW = ("SlowHeads", "SlowBodies")

_CALM, _RAMPED, _SPIKE_BEGINS, _SPIKE_ENDS, _CALM_SHARE = 0.1, 0.8, 1 / 3, 2 / 3, 0.1
CANARY_STEPS = ((0.2, 5.0), (0.45, 25.0), (0.7, 50.0))  # from this part of the run on, so many per cent


class Scenario(StrEnum):
    """By the name that `--scenario` takes."""

    STEADY = "steady"
    RAMP = "ramp"
    SPIKE = "spike"
    SOAK = "soak"
    INCIDENT = "incident"
    CANARY = "canary"
    SLOW = "slow"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Plan:
    """`share`: part of the run (0 to 1) → share of the peak; `callers`: user classes; `incident`: unless another is named."""

    what: str
    seconds: float
    share: Callable[[float], float]
    callers: tuple[str, ...]
    objective: Objective
    incident: Incident | None = None


def _level(_part: float) -> float:
    return 1.0


def _ramp(part: float) -> float:
    """Calm, then up in a straight line, then the peak."""
    return _CALM_SHARE + (1 - _CALM_SHARE) * min(max((part - _CALM) / (_RAMPED - _CALM), 0.0), 1.0)


def _spike(part: float) -> float:
    return 1.0 if _SPIKE_BEGINS <= part < _SPIKE_ENDS else _CALM_SHARE


PLANS: Mapping[Scenario, Plan] = {
    Scenario.STEADY: Plan("all kinds of traffic, the same number of users", 60, _level, ALL_KINDS, Objective(250, 0)),
    Scenario.RAMP: Plan(
        "a tenth of the users, then more and more: where does it bend?", 120, _ramp, ALL_KINDS, Objective(500, 0.01)
    ),
    Scenario.SPIKE: Plan(
        "ten times the users in the middle third: does it hold, and is it calm again afterwards?",
        60,
        _spike,
        ALL_KINDS,
        Objective(500, 0.05),
    ),
    Scenario.SOAK: Plan(
        "half an hour of the same: does memory or latency creep?", 1800, _level, ALL_KINDS, Objective(250, 0.001)
    ),
    Scenario.INCIDENT: Plan(
        "payments that go wrong a sixth into the run: what does the monitor say?",
        360,
        _level,
        ALL_KINDS,
        Objective(250, 0),
        Incident.UNIT_X1000,
    ),
    Scenario.CANARY: Plan(
        "another version of payments gets a growing share, then none: does any caller notice?",
        90,
        _level,
        PAYMENTS,
        Objective(250, 0),
    ),
    Scenario.SLOW: Plan(
        "every fourth caller sends its request a byte at a time: do the others notice?",
        60,
        _level,
        ("PaymentsByName", "TumoursMatrix", *SLOW),
        Objective(500, 0),
    ),
    Scenario.MIXED: Plan(
        "every model that is ready, by what its metadata says that it takes",
        60,
        _level,
        ("AnyModel",),
        Objective(250, 0),
    ),
}


def users_at(plan: Plan, elapsed_s: float, *, seconds: float, peak: int) -> int | None:
    """None: it is over."""
    if elapsed_s >= seconds:
        return None
    return min(max(math.ceil(plan.share(max(elapsed_s, 0.0) / seconds) * peak - 1e-9), 1), peak)


def canary_percent(part: float) -> float:
    """The share that the canary has in this part of a run; 0: before, and after its end."""
    past = [percent for begins, percent in CANARY_STEPS if begins <= part < 1]
    return past[-1] if past else 0.0
