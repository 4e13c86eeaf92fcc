"""What moment does a person mean? ISO 8601, or as long before now; ● no clock.

Law: a moment that is written out says the same at any time of asking; without an offset it is UTC.
"""

import re
from datetime import UTC, datetime

EXPECTED = (
    "ISO 8601 (2026-11-21, 2026-11-21T16:00:00+01:00; UTC where no offset stands) "
    "or time before now (-90s, -15m, -2h, -7d, -4w)"
)
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BEFORE = re.compile(r"-(\d{1,9}(?:\.\d{1,6})?)([smhdw])")
_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?"
)  # not all that fromisoformat takes: 20261121 may be a number


def moment_us(text: str, now_us: int) -> int:
    """µs since the Unix epoch. Raises ValueError with what was found and expected."""
    if text == "now":
        return now_us
    if before := _BEFORE.fullmatch(text):
        return max(0, now_us - round(float(before[1]) * _UNITS_S[before[2]] * 1e6))
    try:
        if not _ISO.fullmatch(text):
            raise ValueError
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return _since_epoch_us(moment)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r}, expected {EXPECTED}") from error


def _since_epoch_us(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
