"""What is known of a run when it is over? Everything that the report tells, and whether the run was good."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from loadtests.load.joined import Counts, Equation
from loadtests.load.objective import Had, Met, Objective, Verdict, judge
from loadtests.load.plans import Plan, Scenario
from loadtests.load.scraped import Look, Page
from loadtests.load.seen import Seen


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at this moment of the run."""

    at_s: float
    says: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One line of locust's own table."""

    name: str
    n: int
    failures: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Told:
    """`counters` and `log` are None where they could not be read, and `notes` say why; `began_s` since the Unix epoch."""

    scenario: Scenario
    plan: Plan
    objective: Objective
    url: str
    began_s: float
    seconds: float
    peak: int
    machine: str
    processes: int
    seen: Seen
    looks: Sequence[Look]
    counted: Page | None
    callers: Counts
    counters: Counts | None
    log: Counts | None
    equations: Sequence[Equation]
    notes: Sequence[str]
    marks: Sequence[Mark]
    kinds: Sequence[Kind]
    problems: Sequence[tuple[int, str]]
    raised: int = 0  # exceptions of locust's users

    @property
    def began_at(self) -> str:
        return datetime.fromtimestamp(int(self.began_s), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

    @property
    def had(self) -> Had:
        return Had(self.seen.n, self.seen.errors, self.seen.wrong_answers, self.seen.quantile_ms(0.99), self.raised)

    @property
    def verdict(self) -> Verdict:
        return judge(self.objective, self.had)

    @property
    def adds_up(self) -> bool:
        return all(one.holds for one in self.equations)

    @property
    def good(self) -> bool:
        return isinstance(self.verdict, Met) and self.adds_up
