"""What do a system's alarms say about it?

Laws
- A page is an alarm after a quiet look: an unbroken row of alarms is one page, and the share of alarmed looks stands beside it.
- A change is detected by the first alarm after its first row, whether or not the look before was quiet; its delay counts
  the rows and the minutes from that first row.
- Only streams that the system read are counted.
"""

from collections.abc import Iterable, Sequence
from math import nan
from statistics import median

import msgspec
from scipy.stats import beta, chi2


class Alarm(msgspec.Struct, frozen=True):
    """`look`: the number of the look in its stream, from 1; 0 where a target does not say (`targets/scenario.py`)."""

    stream: int
    row: int
    minute: float
    what: str
    new: bool = True
    wide: bool = False
    look: int = 0


class Told(msgspec.Struct, frozen=True):
    """What a target ends with."""

    looks: int
    alarmed: int
    rows: int
    streams: int
    seconds: float
    peak_mib: float


class Ran(msgspec.Struct, frozen=True):
    """One system on one scenario."""

    alarms: tuple[Alarm, ...]
    told: Told


class Speed(msgspec.Struct, frozen=True):
    """In the system's own calls, one thread; MiB are the high water of its process."""

    rows: int
    rows_per_s: float
    peak_mib: float
    cpu_ms_a_look: float = 0.0


def speed(told: Told) -> Speed:
    """Of one run. Its calls took some time."""
    return Speed(
        told.rows, told.rows / told.seconds, told.peak_mib, cpu_ms_a_look=told.seconds * 1000 / max(1, told.looks)
    )


def only_wide(ran: Ran) -> Ran:
    """The same run, read as alarming only where half of the columns did: so the look before a page was not a wide one."""
    wide = {(alarm.stream, alarm.look) for alarm in ran.alarms if alarm.wide}
    kept = tuple(
        msgspec.structs.replace(alarm, new=(alarm.stream, alarm.look - 1) not in wide)
        for alarm in ran.alarms
        if alarm.wide
    )
    return Ran(kept, msgspec.structs.replace(ran.told, alarmed=len(kept)))


class Quiet(msgspec.Struct, frozen=True):
    """On a stream where nothing happens; `low` and `high`: 95 % for a Poisson rate (Garwood 1936)."""

    days: float
    pages: int
    pages_a_month: float
    low: float
    high: float
    alarmed_share: float


class Seen(msgspec.Struct, frozen=True):
    """On trials of one change; delays of those that were detected, `early`: share of trials with an alarm before the change."""

    trials: int
    detected: int
    share_low: float
    share_high: float
    rows: float
    rows_high: float
    minutes: float
    early: float


def quiet(ran: Ran, days: Sequence[float], rows: Sequence[int]) -> Quiet:
    """Days and rows of the streams; of the last one that was read, perhaps only a part."""
    whole = sum(rows[: ran.told.streams])
    seen = sum(days[: ran.told.streams]) * (ran.told.rows / whole if whole else 0.0)
    pages, month = sum(alarm.new for alarm in ran.alarms), 30.0
    low = float(chi2.ppf(0.025, 2 * pages)) / 2 if pages else 0.0
    high = float(chi2.ppf(0.975, 2 * pages + 2)) / 2
    per = month / seen if seen else nan
    return Quiet(seen, pages, pages * per, low * per, high * per, ran.told.alarmed / max(1, ran.told.looks))


def seen(ran: Ran, trials: Iterable[tuple[int, int, float]]) -> Seen:
    """Trials: number of the stream, the row and the minute at which the change begins."""
    read = [(number, row, minute) for number, row, minute in trials if number < ran.told.streams]
    delays, early = [], 0
    for number, row, minute in read:
        of_stream = [alarm for alarm in ran.alarms if alarm.stream == number]
        early += any(alarm.row <= row for alarm in of_stream)
        after = next((alarm for alarm in of_stream if alarm.row > row), None)
        if after is not None:
            delays.append((after.row - row, after.minute - minute))
    n, k = len(read), len(delays)
    rows, minutes = sorted(delay[0] for delay in delays), [delay[1] for delay in delays]
    return Seen(
        trials=n,
        detected=k,
        share_low=float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0,  # Clopper and Pearson 1934
        share_high=float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0,
        rows=median(rows) if rows else nan,
        rows_high=rows[-(-95 * k // 100) - 1] if rows else nan,  # nearest rank: never below the median
        minutes=median(minutes) if minutes else nan,
        early=early / n if n else nan,
    )
