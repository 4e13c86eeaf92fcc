"""What is a row of the fault table, and what does it show?"""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from service.featurelog.ledger import audit
from tests.workers import answered_ids

CONFIDENCE_N = 3.0  # rule of three: none in n trials bounds the rate by 3/n at 95 %


class Impossible(Exception):
    """This machine cannot inject this fault; the row is left out, and says why."""


@dataclass(slots=True)
class Tally:
    """What was injected and what came of it; `broken` says whatever else did not hold."""

    injections: int = 0
    acknowledged: int = 0
    found: int = 0
    lost: int = 0
    duplicated: int = 0
    broken: list[str] = field(default_factory=list)
    note: str = ""
    slow: bool = False  # a bar of speed was missed: for the script, a test does not depend on it

    @property
    def held(self) -> bool:
        return not (self.lost or self.duplicated or self.broken) and self.injections > 0

    @property
    def bound(self) -> float:
        """The rate of losing injections that so many without a loss leave possible, at 95 %."""
        return min(1.0, CONFIDENCE_N / max(1, self.injections))

    def add(self, acknowledged: Iterable[str], found: Iterable[str], injections: int = 1) -> None:
        """One comparison: what was acknowledged must be found, and nothing twice."""
        told, times = set(acknowledged), Counter(found)
        self.injections += injections
        self.acknowledged += len(told)
        self.found += len(times)
        self.lost += sum(name not in times for name in told)
        self.duplicated += sum(n - 1 for n in times.values())

    def add_log(self, acknowledged: Iterable[str], root: Path, what: str, injections: int = 1) -> None:
        """As `add`, and the log adds up as well."""
        self.add(acknowledged, answered_ids(root), injections)
        self.expect(audit(root).whole, f"{what}: the log is not whole")

    def expect(self, holds: bool, what: str) -> None:
        """Whatever else must be so."""
        if not holds:
            self.broken.append(what)


@dataclass(frozen=True, slots=True)
class Row:
    """`run(folder, repetitions, dice)` injects; `repetitions` for the long run, `few` for a test. `few` 0: starts servers."""

    fault: str
    injection: str
    run: Callable[[Path, int, random.Random], Tally]
    repetitions: int = 1
    few: int = 1
    serves: bool = False
