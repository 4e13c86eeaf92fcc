"""What is a rollout? The text of `<home>/rollouts/<model>.toml` to a value that is sound.

Laws
- A document that cannot be read whole is not read at all; the error says what was found where, and what was expected.
- Without a table `guards` the guards are DEFAULT_GUARDS; with one they are those it names and no others.
- `false_rollbacks` bounds the chance that a canary which keeps within every tolerance is ever rolled back, over all guards,
  steps and looks together; each guard has an equal part of it.
"""

import tomllib
from datetime import datetime
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from monitoring.errors import RolloutInvalid

STEPS_MAX = 20
LATENCY_GUARDS_MAX = 8
# Fewer show too little to go on by, whatever a document says: with 10 a step a canary that failed one request in five became
# stable in 57 of 60 simulated rollouts, with 100 in none.
REQUESTS_FLOOR = 100

Share = Annotated[float, Meta(ge=0, lt=1)]


class ShareGuard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The canary's share may lie above stable's by `tolerance`."""

    tolerance: Share


class LatencyGuard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The canary's latencies from this quantile on may be `ratio` times stable's, and `slack_ms` longer in any case.

    Who answers one request in a hundred has cold caches and nobody to share a run with: of a model that answers in half a
    millisecond that is more than a quarter, and no fault of the version. With a slack of 1 ms a p99 of 1.5 times stable's
    went unseen on such a model (`python -m tests.promises.rollouts --live`).
    """

    quantile: Annotated[float, Meta(gt=0, le=0.999)]
    ratio: Annotated[float, Meta(ge=1, le=100)]
    slack_ms: Annotated[float, Meta(ge=0, le=10_000)] = 0.25

    @property
    def name(self) -> str:
        return f"latency p{100 * self.quantile:g}"


class LabelGuard(ShareGuard, frozen=True, forbid_unknown_fields=True):
    """The share of wrong answers, once labels are known; before `labels_min` of the canary's are, nothing advances.

    `output`: the column of the answer that the label is held against; `off_by`: how far a number may be from its label.
    """

    labels_min: Annotated[int, Meta(ge=1)] = 100
    output: Annotated[str, Meta(min_length=1, max_length=128)] = "label"
    off_by: Annotated[float, Meta(ge=0)] = 0.0


class Guards(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the canary is held to.

    `errors`: failed and shed requests; `rejections`: refused as bad input; `predictions`: the share of answers below any
    edge of the training bins (or in any category), in either direction; `labels`: wrong answers.
    """

    errors: ShareGuard | None = None
    rejections: ShareGuard | None = None
    latency: Annotated[tuple[LatencyGuard, ...], Meta(max_length=LATENCY_GUARDS_MAX)] = ()
    predictions: ShareGuard | None = None
    labels: LabelGuard | None = None

    def names(self) -> tuple[str, ...]:
        """The guards that are on, in the order in which the evidence is laid out."""
        shares = [name for name in ("errors", "rejections") if getattr(self, name) is not None]
        quantiles = [guard.name for guard in self.latency]
        return (*shares, *quantiles, *(n for n in ("labels", "predictions") if getattr(self, n) is not None))


DEFAULT_GUARDS = Guards(
    errors=ShareGuard(0.005),
    rejections=ShareGuard(0.01),
    latency=(LatencyGuard(0.5, 1.25), LatencyGuard(0.99, 1.25)),
    predictions=ShareGuard(0.1),
)


class Rollout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The document.

    `steps`: shares of the canary in percent, rising; `bake_s`: how long a step lasts at least, in minutes that had requests
    of both arms; `requests_min`: answers of the canary that a step needs at least, and requests of it that every guard has held
    against stable's before the first step ends; `together`: how many requests share one
    outcome at least (spread.py finds out what a sticky caller's retries make of it); `false_rollbacks`: see the module;
    `since`: what was before is no evidence of this rollout (the version had been tried before). `promote`: whether a canary
    that has passed a last step of 100 % becomes stable by itself.
    """

    version: Annotated[str, Meta(min_length=1, max_length=128)]
    steps: Annotated[tuple[Annotated[float, Meta(gt=0, le=100)], ...], Meta(min_length=1, max_length=STEPS_MAX)] = (
        1,
        5,
        25,
        50,
        100,
    )
    bake_s: Annotated[int, Meta(ge=60, le=30 * 86_400)] = 600
    requests_min: Annotated[int, Meta(ge=REQUESTS_FLOOR)] = 500
    together: Annotated[float, Meta(ge=1, le=1000)] = 1
    false_rollbacks: Annotated[float, Meta(gt=0, le=0.1)] = 0.01
    since: Annotated[datetime, Meta(tz=True)] | None = None
    promote: bool = True
    guards: Guards = DEFAULT_GUARDS

    @classmethod
    def decode(cls, text: str, where: str) -> Self:
        """The document that stands at `where`. Raises RolloutInvalid."""
        try:
            rollout = msgspec.convert(tomllib.loads(text), cls)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
            raise RolloutInvalid(where, str(error), "a rollout as docs/rollouts.md describes it") from error
        rollout.check(where)
        return rollout

    def check(self, where: str) -> None:
        """What types cannot say. Raises RolloutInvalid."""
        if list(self.steps) != sorted(set(self.steps)):
            raise RolloutInvalid(f"{where}, steps", str(list(self.steps)), "rising shares in percent")
        names = self.guards.names()
        if not names:
            raise RolloutInvalid(
                f"{where}, guards", "none", "at least one guard, or no table `guards` for the defaults"
            )
        if len(names) != len(set(names)):
            raise RolloutInvalid(f"{where}, guards.latency", "a quantile twice", "each quantile once")

    @property
    def promotes(self) -> bool:
        """The steps say all that is done by itself: a canary whose last step is less than 100 % stays at that share."""
        return self.promote and self.steps[-1] == 100

    @property
    def alpha(self) -> float:
        """The part of `false_rollbacks` that each guard has."""
        return self.false_rollbacks / len(self.guards.names())
