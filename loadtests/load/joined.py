"""Do callers, counters and log tell the same story? The numbers of a run side by side, and the equations that must hold.

Laws
- `received = answered + rejected + shed + failed` and `answered = logged + dropped`, exactly, in the log, and in the counters
  where nobody else was under way at a look; else they may differ by as many requests as others asked.
- The log is read around the looks, and the counters are read once more around the log: it holds at least what they counted
  within, at most what they counted around it. Where both are the same, nobody else asked in between, and it holds just that.
- What a caller was told has happened: the server counts at least as many of each outcome. It may count more: others may ask,
  and a request whose caller gave up has an outcome too.
- What nobody could read is no equation, and never a good one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadtests.load.scraped import Page
from loadtests.load.seen import Outcome

OUTCOMES = (Outcome.ANSWERED, Outcome.REJECTED, Outcome.SHED, Outcome.FAILED)


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of a run by what became of them; `logged` and `dropped` are of the answered ones."""

    received: int
    outcomes: Mapping[str, int]
    logged: int | None = None
    dropped: int | None = None

    def of(self, outcome: str) -> int:
        return self.outcomes.get(outcome, 0)

    @property
    def known(self) -> int:
        """Those that the server gives an outcome."""
        return sum(self.of(outcome) for outcome in OUTCOMES)


@dataclass(frozen=True, slots=True)
class Equation:
    """A sentence with figures, and whether it holds."""

    says: str
    holds: bool


def of_callers(outcomes: Mapping[str, int]) -> Counts:
    """What locust's users saw."""
    return Counts(sum(outcomes.values()), dict(outcomes))


def of_counters(counted: Page) -> Counts:
    """What `/metrics` counted during the run."""
    by_outcome = {outcome: n for (outcome,), n in counted.by("plumbline_requests_total", "outcome").items()}
    logged = int(counted.total("plumbline_log_records_total", outcome=Outcome.ANSWERED))
    dropped = int(counted.total("plumbline_log_dropped_total", outcome=Outcome.ANSWERED))
    return Counts(int(counted.total("plumbline_requests_received_total")), by_outcome, logged, dropped)


def of_log(before: Mapping[str, Any], after: Mapping[str, Any]) -> Counts:
    """What `plumbline log verify --json` says now and did not say before the run."""
    outcomes = {str(one): int(after[one]) - int(before[one]) for one in OUTCOMES}
    dropped = sum(after["log_dropped"].values()) - sum(before["log_dropped"].values())
    logged = int(after["logged"]) - int(before["logged"])
    return Counts(int(after["received"]) - int(before["received"]), outcomes, logged, dropped)


def equations(
    callers: Counts,
    counters: Counts | None,
    log: Counts | None,
    faults: tuple[str, ...],
    around: Counts | None = None,
) -> list[Equation]:
    """`around`: what was counted from before the log was read first until after it was read last, None where that could not be
    read; `faults`: gaps, damage and differences that `log verify` found after the run.
    """
    found = []
    if counters is not None:
        alone = around is not None and _parts(counters) == _parts(around)
        others = 0 if alone else max(counters.received - callers.known, 0)
        found += [*_of_one("counters", counters, others), _told("counters", callers, counters)]
    if log is not None:
        found += [*_of_one("log", log, 0), _told("log", callers, log)]
    if counters is not None and log is not None:
        found.append(_within(counters, log, around or counters))
    if log is not None:
        whole = "; ".join(faults) or "no gap, no damage, no difference"
        found.append(Equation(f"log verify: {whole}", not faults))
    return found


def _parts(side: Counts) -> tuple[int | None, ...]:
    return side.received, *map(side.of, OUTCOMES), side.logged, side.dropped


def _within(counters: Counts, log: Counts, around: Counts) -> Equation:
    """Equal where both counts are: an interval without width."""
    sides = [(part.received, *map(part.of, OUTCOMES)) for part in (counters, log, around)]
    holds = all(least <= had <= most for least, had, most in zip(*sides, strict=True))
    if sides[0] == sides[2]:
        return Equation(f"counters {counters.received:,} = log {log.received:,}, outcome by outcome", holds)
    says = f"counters {counters.received:,} ≤ log {log.received:,} ≤ counters around it {around.received:,}, outcome by outcome"
    return Equation(f"{says}: others asked between the looks", holds)


def _of_one(name: str, side: Counts, others: int) -> list[Equation]:
    """`others`: so many requests may have been under way at a look."""
    parts = " + ".join(f"{one} {side.of(one):,}" for one in OUTCOMES)
    logged, dropped, answered = side.logged or 0, side.dropped or 0, side.of(Outcome.ANSWERED)
    return [
        _near(f"{name}: received {side.received:,}", parts, side.received - side.known, others),
        _near(
            f"{name}: answered {answered:,}",
            f"logged {logged:,} + dropped {dropped:,}",
            answered - logged - dropped,
            others,
        ),
    ]


def _near(whole: str, parts: str, more: int, others: int) -> Equation:
    if more and others:
        return Equation(f"{whole} = {parts}, but for {abs(more):,} of others at a look", abs(more) <= others)
    return Equation(f"{whole} = {parts}", not more)


def _told(name: str, callers: Counts, side: Counts) -> Equation:
    """Everything that a caller was told, the server has; the rest is said."""
    holds = all(callers.of(one) <= side.of(one) for one in OUTCOMES)
    more = side.received - callers.known
    lost = callers.of(Outcome.UNANSWERED)
    rest = f" + {more:,} that locust did not count" if more > 0 else ""
    unanswered = f"; {lost:,} requests of locust had no answer" if lost else ""
    return Equation(f"{name}: received {side.received:,} = locust's answers {callers.known:,}{rest}{unanswered}", holds)
