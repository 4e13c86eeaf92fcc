"""What do card payments look like? A seeded simulator with seasons, nulls and a fraud label that arrives late.

Laws
- The same generator state and the same times give the same payments; nothing else is asked (no clock, no global seed).
- Hour and weekday move the rate, the mix of channels and merchants, the amounts and the fraud rate; they are no features.
- The fraud label follows one logistic rule (`_log_odds`) plus noise; it becomes known `label_delay_s` after the payment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from models.demo.seasons import DAY_S, HOUR_S, evening, weekend

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.str_]
Cell = float | int | str | None
Row = dict[str, Cell]

NUMERIC = ("amount", "customer_age", "account_age_days", "payments_last_24h", "minutes_since_last")
CATEGORICAL = ("merchant_category", "country", "channel")
FEATURES = (*NUMERIC, *CATEGORICAL)
LABEL = "fraud"

# name: (weight at noon, weight in the evening, mean of log amount, std of log amount, share paid online, risk in log odds)
MERCHANTS: Mapping[str, tuple[float, float, float, float, float, float]] = {
    "clothing": (8, 9, 3.9, 0.7, 0.45, 0.1),
    "electronics": (4, 6, 4.9, 0.9, 0.55, 0.8),
    "entertainment": (4, 12, 3.1, 0.6, 0.50, 0.1),
    "fuel": (9, 6, 3.9, 0.4, 0.02, 0.2),
    "gaming": (3, 10, 2.6, 0.8, 0.95, 0.7),
    "groceries": (30, 16, 3.2, 0.8, 0.05, -0.5),
    "jewellery": (1, 1, 5.2, 1.0, 0.30, 0.9),
    "pharmacy": (7, 3, 2.8, 0.6, 0.10, -0.3),
    "restaurants": (14, 22, 3.2, 0.6, 0.10, -0.2),
    "transport": (12, 8, 2.3, 0.6, 0.40, -0.1),
    "travel": (3, 4, 5.4, 0.9, 0.75, 0.6),
    "utilities": (5, 3, 4.3, 0.5, 0.80, -0.6),
}
# name: (weight, risk in log odds)
COUNTRIES: Mapping[str, tuple[float, float]] = {
    "AT": (6.0, 0.1),
    "BE": (2.5, 0.2),
    "CH": (4.0, 0.1),
    "CZ": (2.0, 0.3),
    "DE": (60.0, 0.0),
    "DK": (1.5, 0.2),
    "ES": (4.0, 0.5),
    "FR": (5.0, 0.3),
    "GB": (3.0, 0.7),
    "IT": (4.0, 0.4),
    "JP": (0.7, 1.2),
    "LU": (0.8, 0.2),
    "NL": (3.0, 0.2),
    "PL": (2.0, 0.4),
    "US": (1.5, 1.4),
}
CHANNELS = ("chip", "contactless", "mail_order", "online", "recurring")
_CHANNEL_RISK = np.array([0.0, -0.2, 1.0, 1.3, 0.2])

AGE_NULL_SHARE = 0.06
LAST_NULL_SHARE = 0.02
LOG_AMOUNT_STD = 1.0  # of all payments, measured; the unit in which a mean shift is given
_LOG_ODDS_AT_REST = -6.5  # puts the fraud rate near 2 %
_LOG_ODDS_NOISE_STD = 0.4
_LABEL_DELAY_S_MEDIAN = 36 * HOUR_S
_LABEL_DELAY_LOG_STD = 0.8
LABEL_DELAY_S_MIN, LABEL_DELAY_S_MAX = HOUR_S, 30 * DAY_S


@dataclass(frozen=True, slots=True, eq=False)
class Payments:
    """Columns of n payments, each of shape (n,). Times in s since the Unix epoch; NaN in a float column is null."""

    at_s: Floats
    amount: Floats
    customer_age: Floats
    account_age_days: Ints
    payments_last_24h: Ints
    minutes_since_last: Floats
    merchant_category: Texts
    country: Texts
    channel: Texts
    fraud: Bools
    label_delay_s: Floats

    def __len__(self) -> int:
        return len(self.at_s)

    def features(self) -> dict[str, npt.NDArray[np.generic]]:
        """Column by feature name, in the order of `FEATURES`."""
        return {name: getattr(self, name) for name in FEATURES}


def payments(rng: np.random.Generator, at_s: Floats) -> Payments:
    """One payment a time, in the order of the times."""
    n = at_s.size
    late, free = evening(at_s), weekend(at_s)
    merchant = _merchants(rng, late)
    channel = _channels(rng, merchant, late, free)
    country = _draw(rng, np.broadcast_to(_column(COUNTRIES, 0), (n, len(COUNTRIES))))
    log_mean, log_std = _column(MERCHANTS, 2)[merchant], _column(MERCHANTS, 3)[merchant]
    log_amount = rng.normal(log_mean + 0.10 * late + 0.06 * free, log_std)
    account_age_days = np.minimum(rng.exponential(900, n), 6000).astype(np.int64)
    payments_last_24h = rng.poisson(rng.gamma(2.0, 1.0, n))
    minutes = _minutes_since_last(rng, payments_last_24h, account_age_days)
    log_odds = _log_odds(log_amount, merchant, country, channel, payments_last_24h, account_age_days, minutes, late)
    noisy = log_odds + rng.normal(0.0, _LOG_ODDS_NOISE_STD, n)
    return Payments(
        at_s=at_s,
        amount=np.maximum(np.round(np.exp(log_amount), 2), 0.5),
        customer_age=_nulls(rng, np.floor(18 + 72 * rng.beta(1.8, 2.6, n)), AGE_NULL_SHARE),
        account_age_days=account_age_days,
        payments_last_24h=payments_last_24h,
        minutes_since_last=minutes,
        merchant_category=np.array(tuple(MERCHANTS))[merchant],
        country=np.array(tuple(COUNTRIES))[country],
        channel=np.array(CHANNELS)[channel],
        fraud=rng.random(n) < 1 / (1 + np.exp(-noisy)),
        label_delay_s=_label_delays(rng, n),
    )


def rows(batch: Payments) -> list[Row]:
    """The payments as JSON-ready rows by feature name; null is None, whole numbers are ints."""
    columns = [_cells(name, column) for name, column in batch.features().items()]
    return [dict(zip(FEATURES, row, strict=True)) for row in zip(*columns, strict=True)]


def join(batches: Sequence[Payments]) -> Payments:
    """The batches one after the other."""
    names = [field.name for field in fields(Payments)]
    return Payments(**{name: np.concatenate([getattr(batch, name) for batch in batches]) for name in names})


def _column(table: Mapping[str, Sequence[float]], index: int) -> Floats:
    return np.array([entry[index] for entry in table.values()], dtype=np.float64)


def _draw(rng: np.random.Generator, weights: Floats) -> Ints:
    """One index a row, in proportion to the row's weights; weights: shape (n, k)."""
    bounds = np.cumsum(weights, axis=1)
    picks = rng.random(len(weights)) * bounds[:, -1]
    return np.asarray(np.minimum((picks[:, None] >= bounds).sum(axis=1), weights.shape[1] - 1))


def _merchants(rng: np.random.Generator, late: Floats) -> Ints:
    at_noon, at_night = _column(MERCHANTS, 0), _column(MERCHANTS, 1)
    return _draw(rng, at_noon + late[:, None] * (at_night - at_noon))


def _channels(rng: np.random.Generator, merchant: Ints, late: Floats, free: Floats) -> Ints:
    online = np.clip(_column(MERCHANTS, 4)[merchant] * (0.75 + 0.35 * late + 0.05 * free), 0.0, 0.97)
    present = 1 - online
    weights = [0.38 * present, 0.60 * present, 0.02 * present, 0.85 * online, 0.15 * online]
    return _draw(rng, np.stack(weights, axis=1))


def _minutes_since_last(rng: np.random.Generator, last_24h: Ints, account_age_days: Ints) -> Floats:
    """Within the day where there were payments, else later; null where the account has no earlier payment."""
    within = DAY_S / 60 * (1 - rng.random(last_24h.size) ** (1 / np.maximum(last_24h, 1)))
    later = DAY_S / 60 + rng.exponential(2880, last_24h.size)
    minutes = np.round(np.where(last_24h > 0, within, later), 1)
    first = (last_24h == 0) & (account_age_days < 2)
    return _nulls(rng, np.where(first, np.nan, minutes), LAST_NULL_SHARE)


def _nulls(rng: np.random.Generator, values: Floats, share: float) -> Floats:
    return np.where(rng.random(values.size) < share, np.nan, values)


def _log_odds(
    log_amount: Floats,
    merchant: Ints,
    country: Ints,
    channel: Ints,
    last_24h: Ints,
    account_age_days: Ints,
    minutes: Floats,
    late: Floats,
) -> Floats:
    """The rule that the demo model has to find; `late`, the time of day, stays hidden from it."""
    return np.asarray(
        _LOG_ODDS_AT_REST
        + 0.55 * (log_amount - 3.3)
        + _column(MERCHANTS, 5)[merchant]
        + _column(COUNTRIES, 1)[country]
        + _CHANNEL_RISK[channel]
        + 0.35 * np.minimum(last_24h, 10)
        + 1.0 * (account_age_days < 90)
        + 1.2 * (np.nan_to_num(minutes, nan=1e6) < 10)
        + 0.5 * late
    )


def _label_delays(rng: np.random.Generator, n: int) -> Floats:
    delays = rng.lognormal(np.log(_LABEL_DELAY_S_MEDIAN), _LABEL_DELAY_LOG_STD, n)
    return np.clip(np.round(delays), LABEL_DELAY_S_MIN, LABEL_DELAY_S_MAX)


def _cells(name: str, column: npt.NDArray[np.generic]) -> list[Cell]:
    values: list[Cell] = column.tolist()
    if column.dtype.kind != "f":
        return values
    whole = name == "customer_age"
    return [None if value != value else int(value) if whole else value for value in values]  # type: ignore[arg-type]
