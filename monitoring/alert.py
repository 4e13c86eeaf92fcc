"""When does a judgement become an event: one request for retraining an incident, however long and however wide it is.

Laws
- The table below is the whole behaviour: every (phase, signal) pair is in it, and only it changes a phase.
- REQUEST_RETRAIN happens exactly on the way into an incident; a relapse before the cooldown is over is the same
  incident.
- NO_DATA changes nothing: silence neither resets a hold nor clears.
- Time is event time, in minutes; an alert that is stepped twice with the same minute and judgement asks for nothing
  twice.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import blake2b

from monitoring.verdict import Check
from monitoring.window import MINUTE_S


class Phase(StrEnum):
    """Where an alert stands."""

    QUIET = "quiet"
    PENDING = "pending"
    FIRING = "firing"
    COOLING = "cooling"


class Signal(StrEnum):
    """What a judged minute says; `_HELD` when it has been said for the hold."""

    BREACH = "breach"
    BREACH_HELD = "breach_held"
    CLEAR = "clear"
    CLEAR_HELD = "clear_held"
    NO_DATA = "no_data"
    COOLED = "cooled"


class Action(StrEnum):
    """What the shell is asked to do."""

    REQUEST_RETRAIN = "request_retrain"


class Standing(StrEnum):
    """What was judged, before time is looked at."""

    BREACH = "breach"
    CLEAR = "clear"
    NO_DATA = "no_data"


P, S, A = Phase, Signal, Action
TRANSITIONS: dict[tuple[Phase, Signal], tuple[Phase, Action | None]] = {
    (P.QUIET, S.BREACH): (P.PENDING, None),
    (P.QUIET, S.BREACH_HELD): (P.FIRING, A.REQUEST_RETRAIN),  # a hold of nothing
    (P.QUIET, S.CLEAR): (P.QUIET, None),
    (P.QUIET, S.CLEAR_HELD): (P.QUIET, None),
    (P.QUIET, S.NO_DATA): (P.QUIET, None),
    (P.QUIET, S.COOLED): (P.QUIET, None),
    (P.PENDING, S.BREACH): (P.PENDING, None),
    (P.PENDING, S.BREACH_HELD): (P.FIRING, A.REQUEST_RETRAIN),
    (P.PENDING, S.CLEAR): (P.QUIET, None),
    (P.PENDING, S.CLEAR_HELD): (P.QUIET, None),
    (P.PENDING, S.NO_DATA): (P.PENDING, None),  # silence must not reset a hold
    (P.PENDING, S.COOLED): (P.PENDING, None),
    (P.FIRING, S.BREACH): (P.FIRING, None),  # one request an incident
    (P.FIRING, S.BREACH_HELD): (P.FIRING, None),
    (P.FIRING, S.CLEAR): (P.FIRING, None),  # a clear must hold as long as a breach had to
    (P.FIRING, S.CLEAR_HELD): (P.COOLING, None),
    (P.FIRING, S.NO_DATA): (P.FIRING, None),  # silence is not good news
    (P.FIRING, S.COOLED): (P.FIRING, None),
    (P.COOLING, S.BREACH): (P.COOLING, None),
    (P.COOLING, S.BREACH_HELD): (P.FIRING, None),  # a relapse: same incident, no second request
    (P.COOLING, S.CLEAR): (P.COOLING, None),
    (P.COOLING, S.CLEAR_HELD): (P.COOLING, None),
    (P.COOLING, S.NO_DATA): (P.COOLING, None),
    (P.COOLING, S.COOLED): (P.QUIET, None),
}


@dataclass(frozen=True, slots=True)
class Alert:
    """The alert of one model version.

    `since`: minute of the last change of phase; `breach_since`, `clear_since`: where the present streak began;
    `incident`: minute in which the present incident began; `latched`: checks that breached and are not yet below their
    clear level.
    """

    phase: Phase = Phase.QUIET
    since: int = 0
    breach_since: int | None = None
    clear_since: int | None = None
    incident: int | None = None
    latched: frozenset[Check] = frozenset()


def step(alert: Alert, standing: Standing, minute: int, hold_s: int, cooldown_s: int) -> tuple[Alert, Action | None]:
    """The alert after `minute` was judged, and what is to be done about it."""
    if alert.phase is Phase.COOLING and _elapsed_s(alert.since, minute) >= cooldown_s:
        alert, _ = _move(alert, Signal.COOLED, minute)
    streaks = _streaks(alert, standing, minute)
    return _move(streaks, _signal(streaks, standing, minute, hold_s), minute)


def due(alert: Alert, hold_s: int, cooldown_s: int) -> int | None:
    """The next minute in which time alone may change the phase; None when only counts can."""
    match alert.phase:
        case Phase.QUIET:
            return None
        case Phase.PENDING:
            return None if alert.breach_since is None else alert.breach_since + _minutes(hold_s)
        case Phase.FIRING:
            return None if alert.clear_since is None else alert.clear_since + _minutes(hold_s)
        case Phase.COOLING:
            cooled = alert.since + _minutes(cooldown_s)
            return cooled if alert.breach_since is None else min(cooled, alert.breach_since + _minutes(hold_s))


def event_id(model: str, digest: str, incident: int) -> str:
    """The id of an incident's event: a function of what and when, so a replay after a crash names it alike."""
    return "evt_" + blake2b(f"{model}|{digest}|{incident}".encode(), digest_size=16).hexdigest()


def _streaks(alert: Alert, standing: Standing, minute: int) -> Alert:
    match standing:
        case Standing.BREACH:
            since = minute if alert.breach_since is None else alert.breach_since
            return replace(alert, breach_since=since, clear_since=None)
        case Standing.CLEAR:
            since = minute if alert.clear_since is None else alert.clear_since
            return replace(alert, breach_since=None, clear_since=since)
        case Standing.NO_DATA:
            return alert


def _signal(alert: Alert, standing: Standing, minute: int, hold_s: int) -> Signal:
    match standing:
        case Standing.BREACH:
            held = alert.breach_since is not None and _elapsed_s(alert.breach_since, minute) >= hold_s
            return Signal.BREACH_HELD if held else Signal.BREACH
        case Standing.CLEAR:
            held = alert.clear_since is not None and _elapsed_s(alert.clear_since, minute) >= hold_s
            return Signal.CLEAR_HELD if held else Signal.CLEAR
        case Standing.NO_DATA:
            return Signal.NO_DATA


def _move(alert: Alert, signal: Signal, minute: int) -> tuple[Alert, Action | None]:
    phase, action = TRANSITIONS[alert.phase, signal]
    if phase is alert.phase:
        return alert, action
    incident = alert.incident
    if phase is Phase.QUIET:
        incident = None
    elif alert.phase is Phase.QUIET:
        incident = alert.breach_since
    return replace(alert, phase=phase, since=minute, incident=incident), action


def _elapsed_s(since: int, minute: int) -> int:
    return (minute - since) * MINUTE_S


def _minutes(seconds: int) -> int:
    return -(-seconds // MINUTE_S)
