"""May somebody else's rollout go on, as far as ours is concerned? What Flagger and Argo Rollouts are told.

Laws
- No data is neither yes nor no: it is `unknown`, which lets nothing pass and rolls nothing back.
- `stop` is said only where the evidence is a rollback. A share that is not permitted yet is `wait`.
- Who names a share is let through when the evidence permits it; who names none, when all steps are over.
"""

from enum import StrEnum

import msgspec

from monitoring.rollout.control import permits
from monitoring.rollout.outcome import Done, Outcome, Rollback
from monitoring.status import RolloutStatus


class Gate(StrEnum):
    """What is answered."""

    GO = "go"
    WAIT = "wait"
    STOP = "stop"
    UNKNOWN = "unknown"


class Answer(msgspec.Struct, frozen=True):
    """A gate's answer with what it rests on; `permitted`: the percent that the evidence permits, null: not known."""

    result: Gate
    model: str
    version: str
    permitted: float | None
    outcome: Outcome | None
    reason: str


def gate(told: RolloutStatus, percent: float | None, unhealthy: str | None) -> Answer:
    """The answer for this share, None: for the end; `unhealthy`: why the monitor is not watching."""
    if unhealthy is not None or told.problem:
        result, reason = Gate.UNKNOWN, unhealthy or told.problem
    else:
        result, reason = _result(told, percent), told.sentence
    return Answer(result, told.model, told.version, _permitted(told), told.outcome, reason)


def _result(told: RolloutStatus, percent: float | None) -> Gate:
    match told.outcome, permits(told.outcome, told.percent, 100 if percent is None else percent):
        case _, None:
            return Gate.UNKNOWN
        case Rollback(), _:
            return Gate.STOP
        case Done(), _:
            return Gate.GO
        case _, permitted:
            return Gate.GO if permitted and percent is not None else Gate.WAIT


def _permitted(told: RolloutStatus) -> float | None:
    if isinstance(told.outcome, Rollback):
        return 0.0
    return 100.0 if isinstance(told.outcome, Done) else told.percent
