"""What is shown of the rows that came: a line a model, as a status holds it."""

from typing import assert_never

import msgspec

from monitoring.rules import Rules
from monitoring.volume.arrivals import HOUR_MINUTES, Arrivals
from monitoring.volume.usual import Changed, TooFewExpected, TooLittleHistory, Usual, VolumeRule, judge_volume

HOUR_S = 3600
HOURS_PER_30_DAYS = 30 * 24


class VolumeStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """The newest whole hour of a model, which ended at `hour_end_s`; numbers as in monitoring.volume.usual, absent where
    there is none; `need`: hours of history, or rows, from which on it is judged.
    """

    model: str
    hour_end_s: int
    verdict: str
    rows: int | None = None
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    have: float | None = None
    need: float | None = None


def volumes_of(arrivals: Arrivals, closed: int | None, rules: Rules) -> tuple[VolumeStatus, ...]:
    """Every model's newest hour of which all minutes are closed."""
    if closed is None:
        return ()
    hour = (closed + 1) // HOUR_MINUTES - 1
    # As many false alarms in 30 days as the budget allows, in hours: they request nothing, so they are not part of it.
    rule = VolumeRule(rules.budget_alarms_per_30_days / HOURS_PER_30_DAYS, rules.confidence, rules.volume_ratio)
    return tuple(_line(model, arrivals, hour, rule) for model in sorted(arrivals.models))


def _line(model: str, arrivals: Arrivals, hour: int, rule: VolumeRule) -> VolumeStatus:
    line = VolumeStatus(model, (hour + 1) * HOUR_S, "")
    match judge_volume(arrivals.models[model], hour, rule):
        case Usual() | Changed() as seen:
            return msgspec.structs.replace(
                line,
                verdict="changed" if isinstance(seen, Changed) else "usual",
                rows=seen.rows,
                expected=seen.expected,
                low=seen.low,
                high=seen.high,
                p_value=seen.p_value,
            )
        case TooLittleHistory(have, need):
            return msgspec.structs.replace(line, verdict="too_little_history", have=have, need=need)
        case TooFewExpected(expected, rows):
            return msgspec.structs.replace(line, verdict="too_few_expected", have=expected, need=rows)
        case never:
            assert_never(never)
