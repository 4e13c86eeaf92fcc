"""What does a broken upstream send? Named incidents, done to rows on their way to the model.

Laws
- `apply` returns new rows and leaves those it was given alone; the same generator state gives the same rows.
- An incident touches only the columns that its line in `INCIDENTS` names.
- `seasonal_change` is not an incident: it is what a slow, healthy season does, and must raise no alarm.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp

import numpy as np

from models.demo.simulator import LOG_AMOUNT_STD, Row

NEW_CATEGORY = "gift_cards"
FROZEN_MINUTES = 17.0
UNIT_FACTOR = 1000.0
SEASON_GROWTH_A_DAY = 0.0015  # of the amounts; 4.6 % in a month, which no tolerance of the demo model counts as drift


class Incident(StrEnum):
    """What can go wrong, by the name that load tests and stories use."""

    MEAN_SHIFT = "mean_shift"
    UNIT_X1000 = "unit_x1000"
    NULL_BURST = "null_burst"
    NEW_CATEGORY = "new_category"
    COLUMNS_SWAPPED = "columns_swapped"
    COLUMN_FROZEN = "column_frozen"
    COLUMN_MISSING = "column_missing"
    SEASONAL_CHANGE = "seasonal_change"


@dataclass(frozen=True, slots=True)
class Damage:
    """The columns an incident touches, what its size means, the size it has unless told, and the change of one row."""

    columns: tuple[str, ...]
    size_means: str
    size: float
    change: Callable[[Row, float], Row]


def _scaled(row: Row, factor: float) -> Row:
    amount = row["amount"]
    return row if amount is None else {**row, "amount": round(float(amount) * factor, 2)}


def _swapped(row: Row, _size: float) -> Row:
    return {**row, "account_age_days": row["payments_last_24h"], "payments_last_24h": row["account_age_days"]}


def _without_country(row: Row, _size: float) -> Row:
    return {name: cell for name, cell in row.items() if name != "country"}


_SHARE = "share of the rows"
INCIDENTS: Mapping[Incident, Damage] = {
    Incident.MEAN_SHIFT: Damage(
        ("amount",), "shift of log amount in σ", 0.5, lambda row, size: _scaled(row, exp(size * LOG_AMOUNT_STD))
    ),
    Incident.UNIT_X1000: Damage(("amount",), _SHARE, 1.0, lambda row, _: _scaled(row, UNIT_FACTOR)),
    Incident.NULL_BURST: Damage(("customer_age",), _SHARE, 0.4, lambda row, _: {**row, "customer_age": None}),
    Incident.NEW_CATEGORY: Damage(
        ("merchant_category",), _SHARE, 0.3, lambda row, _: {**row, "merchant_category": NEW_CATEGORY}
    ),
    Incident.COLUMNS_SWAPPED: Damage(("account_age_days", "payments_last_24h"), _SHARE, 1.0, _swapped),
    Incident.COLUMN_FROZEN: Damage(
        ("minutes_since_last",), _SHARE, 1.0, lambda row, _: {**row, "minutes_since_last": FROZEN_MINUTES}
    ),
    Incident.COLUMN_MISSING: Damage(("country",), _SHARE, 1.0, _without_country),
    Incident.SEASONAL_CHANGE: Damage(
        ("amount",), "days since it began", 7.0, lambda row, days: _scaled(row, (1 + SEASON_GROWTH_A_DAY) ** days)
    ),
}


def apply(incident: Incident, rows: Sequence[Row], *, rng: np.random.Generator, size: float | None = None) -> list[Row]:
    """The rows as they arrive while the incident lasts; what `size` means stands in `INCIDENTS`."""
    damage = INCIDENTS[incident]
    size = damage.size if size is None else size
    share = size if damage.size_means == _SHARE else 1.0
    hit = rng.random(len(rows)) < share
    return [damage.change(row, size) if now else dict(row) for row, now in zip(rows, hit.tolist(), strict=True)]
