"""How is the budget of false alarms shared among everything that could raise one?

Laws
- `P9`: the levels of all tests of 30 days, of all versions of a model, add up to at most `budget_alarms_per_30_days`. That is
  the union bound: P(any false alarm) ≤ Σ P(each), whatever the dependence between tests.
- A window is looked at once a completed slice (tier.py), so a long window has few tests and a milder level each, and a
  short one pays for its many.
- What a part does not use is not lent to others: a segment that is added later makes no other check deafer.
"""

from enum import Enum

from monitoring.tier import Scale

MINUTES_PER_30_DAYS = 30 * 24 * 60


class Part(Enum):
    """Who draws on the budget, and the share of it that is his."""

    DRIFT = 0.4
    SKEW = 0.3
    SEGMENTS = 0.2  # drift and skew of all segments together, halves
    LABELS = 0.1


def looks_per_30_days(scale: Scale) -> int:
    """How often a window is looked at in 30 days of traffic without a pause."""
    return MINUTES_PER_30_DAYS // scale.slice_minutes


def level(budget: float, part: Part, *, windows: int, scale: Scale, checks: int, versions: int) -> float:
    """The level of one test: the part's share among the versions of a model, the windows, the looks at this one, and the checks
    of a look.
    """
    return budget * part.value / (max(1, versions) * max(1, windows) * looks_per_30_days(scale) * max(1, checks))
