"""Do callers, counters and log tell the same story? The numbers of a run side by side, and the equations that must hold.

Laws
- `received = answered + rejected + shed + failed` and `answered = logged + dropped`, exactly, in the counters and in the log.
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


def equations(callers: Counts, counters: Counts | None, log: Counts | None, faults: tuple[str, ...]) -> list[Equation]:
    """`faults`: gaps, damage and differences that `log verify` found after the run."""
    found = []
    for name, side in (("counters", counters), ("log", log)):
        if side is not None:
            found += _of_one(name, side)
            found.append(_told(name, callers, side))
    if counters is not None and log is not None:
        same = counters.received == log.received and all(counters.of(one) == log.of(one) for one in OUTCOMES)
        found.append(Equation(f"counters {counters.received:,} = log {log.received:,}, outcome by outcome", same))
    if log is not None:
        whole = "; ".join(faults) or "no gap, no damage, no difference"
        found.append(Equation(f"log verify: {whole}", not faults))
    return found


def _of_one(name: str, side: Counts) -> list[Equation]:
    parts = " + ".join(f"{one} {side.of(one):,}" for one in OUTCOMES)
    logged, dropped, answered = side.logged or 0, side.dropped or 0, side.of(Outcome.ANSWERED)
    return [
        Equation(f"{name}: received {side.received:,} = {parts}", side.received == side.known),
        Equation(
            f"{name}: answered {answered:,} = logged {logged:,} + dropped {dropped:,}", answered == logged + dropped
        ),
    ]


def _told(name: str, callers: Counts, side: Counts) -> Equation:
    """Everything that a caller was told, the server has; the rest is said."""
    holds = all(callers.of(one) <= side.of(one) for one in OUTCOMES)
    more = side.received - callers.known
    lost = callers.of(Outcome.UNANSWERED)
    rest = f" + {more:,} that locust did not count" if more > 0 else ""
    unanswered = f"; {lost:,} requests of locust had no answer" if lost else ""
    return Equation(f"{name}: received {side.received:,} = locust's answers {callers.known:,}{rest}{unanswered}", holds)
