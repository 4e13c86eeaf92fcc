"""Was it good enough? The objective of a run, and the verdict on what its callers saw."""

from dataclasses import dataclass
from typing import assert_never


@dataclass(frozen=True, slots=True)
class Objective:
    """What callers may expect: p99 of what goes right, and the share of requests that may go wrong."""

    p99_ms: float
    errors_share: float

    def __post_init__(self) -> None:
        if not self.p99_ms > 0:
            raise ValueError(f"p99: found {self.p99_ms:g} ms, expected more than 0")
        if not 0 <= self.errors_share <= 1:
            raise ValueError(f"share of errors: found {self.errors_share:g}, expected 0 to 1")


@dataclass(frozen=True, slots=True)
class Had:
    """Predictions asked for, those that went wrong, those of them that had a good status, p99 where there is one, and how often
    a user of locust raised an exception, whose request may be in none of these.
    """

    n: int
    errors: int
    wrong: int
    p99_ms: float | None
    raised: int = 0

    @property
    def errors_share(self) -> float:
        return self.errors / self.n if self.n else 0.0


@dataclass(frozen=True, slots=True)
class Met:
    """Everything held."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Why not, a sentence each."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NothingRight:
    """Nothing can be said of the latency of a run in which nothing went right, so it was not good."""

    n: int


Verdict = Met | Missed | NothingRight


def judge(objective: Objective, had: Had) -> Verdict:
    """A wrong answer is tolerated by no share: whoever believed it does not know."""
    if had.p99_ms is None:
        return NothingRight(had.n)
    reasons = []
    if had.p99_ms > objective.p99_ms:
        reasons.append(f"p99 was {had.p99_ms:,.1f} ms, expected at most {objective.p99_ms:,g} ms")
    if had.errors_share > objective.errors_share:
        share = f"{percent(had.errors_share)} of {had.n:,}"
        reasons.append(
            f"{had.errors:,} requests went wrong ({share}), expected at most {percent(objective.errors_share)}"
        )
    if had.wrong:
        reasons.append(f"{had.wrong:,} answers with status 200 were wrong, expected none")
    if had.raised:
        reasons.append(f"{had.raised:,} exceptions of locust's users, expected none")
    return Missed(tuple(reasons)) if reasons else Met()


def percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def sentence(verdict: Verdict) -> str:
    """For a headline."""
    match verdict:
        case Met():
            return "The objective was met"
        case Missed():
            return "The objective was missed"
        case NothingRight(n):
            return f"Nothing went right of {n:,} requests"
        case _:
            assert_never(verdict)
