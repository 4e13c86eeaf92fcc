"""Which shares does a guard compare?

A guard is a share of the canary's requests that must not lie above stable's by more than a margin:

| guard | of | counted | margin |
|---|---|---|---|
| errors, rejections | requests | failed or shed; rejected | `tolerance` |
| latency | answered requests | canary: slower than `ratio` × T and than T + `slack_ms`; stable: slower than T | 0 |
| labels | rows with a label that arrived in the minute | answered wrongly | `tolerance` |
| predictions | answers | inside a cut (evidence.py), and outside of it | `tolerance` |

Of a latency guard three shares are compared, each with a T of its own: `quantile`, and those beyond which half and a quarter
of that tail lie (p99: p99, p99.5, p99.75). A tail that became half as long again shows where it had been thin, and stable's
own p99 may be there only because its slow requests are as slow as each other: of 16 000 live requests with p99 × 1.5 then 1.2 %
were beyond 1.25 × p99, but 0.8 % beyond 1.25 × p99.5.

T is stable's quantile in the minutes before (the border of a bucket of its sketch), so it is fixed before the minute is seen:
that it is only an estimate costs power, not validity. If the canary's latencies are at most `ratio` times stable's,
P(canary > ratio · T) ≤ P(stable > T) whatever T is; so much the more where the slack is what counts. Both are taken up to
the next bucket border, at most 4.1 % more.

Law: what is known of stable before (`past`) forgets by HALF_LIFE_MINUTES, so guesses and T follow the day.
"""

from dataclasses import dataclass
from math import ceil, log
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from monitoring.rollout.betting import Floats, Seen
from monitoring.rollout.document import Guards, LatencyGuard
from monitoring.rollout.evidence import Cuts, Minute, Part
from monitoring.sketch import BUCKETS, GAMMA

TAIL_PARTS = (1, 2, 4)  # of the requests beyond a guard's quantile: all, the slower half, the slowest quarter
HALF_LIFE_MINUTES = 15  # T and the guesses must follow a morning, and rest on more than a few requests
KEPT_A_MINUTE = 0.5 ** (1 / HALF_LIFE_MINUTES)

_COUNTED = {"errors": (Part.FAILED, Part.REQUESTS), "rejections": (Part.REJECTED, Part.REQUESTS)}
_LABELS = (Part.WRONG, Part.LABELLED)


class Tail(NamedTuple):
    """The slowest requests, beyond a quantile of stable's; `shift`: `ratio` in buckets."""

    quantile: float
    shift: int
    slack_ms: float

    def __str__(self) -> str:
        return f"slower than stable's p{100 * self.quantile:.6g}"


@dataclass(frozen=True, slots=True, eq=False)
class Watch:
    """The comparisons of all guards side by side.

    `names`: of the guards; `owner`: the guard of each comparison; `what`: each comparison in words; `margin`: δ of each;
    `before`, `after`: (counted, among) parts of the guards that are two numbers, beside the latencies.
    """

    names: tuple[str, ...]
    owner: npt.NDArray[np.intp]
    what: tuple[str, ...]
    margin: Floats
    before: tuple[tuple[Part, Part], ...]
    tails: tuple[Tail, ...]
    after: tuple[tuple[Part, Part], ...]
    cuts: Cuts
    bins: int  # of the outputs

    @classmethod
    def of(cls, guards: Guards, cuts: Cuts) -> Self:
        """The guards of a document, for a version whose outputs have these cuts."""
        shares = [
            (name, guard) for name, guard in (("errors", guards.errors), ("rejections", guards.rejections)) if guard
        ]
        tails = [(guard.name, tail) for guard in guards.latency for tail in _tails(guard)]
        rows = [(name, name, guard.tolerance) for name, guard in shares]
        rows += [(name, str(tail), 0.0) for name, tail in tails]
        rows += [] if guards.labels is None else [("labels", "labels", guards.labels.tolerance)]
        if guards.predictions is not None:
            sides = [*cuts.names, *(f"not {name}" for name in cuts.names)]
            rows += [("predictions", side, guards.predictions.tolerance) for side in sides]
        names = guards.names()
        return cls(
            names=names,
            owner=np.array([names.index(name) for name, _, _ in rows], dtype=np.intp),
            what=tuple(what for _, what, _ in rows),
            margin=np.array([margin for _, _, margin in rows]),
            before=tuple(_COUNTED[name] for name, _ in shares),
            tails=tuple(tail for _, tail in tails),
            after=() if guards.labels is None else (_LABELS,),
            cuts=cuts if guards.predictions is not None else cuts.none(),
            bins=cuts.bins,
        )

    @property
    def comparisons(self) -> int:
        return len(self.owner)


class Look(NamedTuple):
    """A minute in shares: `guess`, what stable's were thought to be; `half_k` of `half_n`: of stable's odd buckets."""

    seen: Seen
    guess: Floats
    half_k: Floats
    half_n: Floats


def look(watch: Watch, past: Floats, minute: Minute) -> Look:
    """Counts the minute by comparison; nothing is compared that `past` says nothing about."""
    borders = [_border(past, tail.quantile) for tail in watch.tails]
    shifted = [
        max(border + tail.shift, _above(border, tail.slack_ms))
        for border, tail in zip(borders, watch.tails, strict=True)
    ]
    known, among = _shares(watch, past, borders)
    canary_k, canary_n = _shares(watch, minute.canary.astype(np.float64), shifted)
    stable_k, stable_n = _shares(watch, minute.stable.astype(np.float64), borders)
    told = among > 0
    seen = Seen(*(np.where(told, part, 0.0) for part in (canary_k, canary_n, stable_k, stable_n)))
    half_k, half_n = _shares(watch, minute.half.astype(np.float64), borders)
    return Look(seen, (known + 0.5) / (among + 1), half_k, half_n)


def remember(past: Floats, minute: Minute) -> Floats:
    """`past` with stable's minute; shape of an arm's vector."""
    kept: Floats = past * KEPT_A_MINUTE + minute.stable
    return kept


def _tails(guard: LatencyGuard) -> list[Tail]:
    shift = ceil(log(guard.ratio) / log(GAMMA) - 1e-9)
    return [Tail(1 - (1 - guard.quantile) / part, shift, guard.slack_ms) for part in TAIL_PARTS]


def _border(past: Floats, quantile: float) -> int:
    """The bucket whose upper border is the quantile of the past."""
    sums = np.cumsum(past[Part.LATENCY : Part.OUTPUTS])
    return int(np.searchsorted(sums, quantile * sums[-1]))


def _above(border: int, slack_ms: float) -> int:
    """The bucket whose upper border is so much later than that of `border`."""
    return min(BUCKETS - 1, ceil(log(GAMMA**border + 1000 * slack_ms) / log(GAMMA) - 1e-9))


def _shares(watch: Watch, arm: Floats, borders: list[int]) -> tuple[Floats, Floats]:
    """(counted, among) of each comparison; shapes (comparisons,)."""
    latency = arm[Part.LATENCY : Part.OUTPUTS]
    answered = float(latency.sum())
    pairs = [
        *((arm[counted], arm[among]) for counted, among in watch.before),
        *((latency[border + 1 :].sum(), answered) for border in borders),
        *((arm[counted], arm[among]) for counted, among in watch.after),
    ]
    counted = np.array([pair[0] for pair in pairs], dtype=np.float64)
    among = np.array([pair[1] for pair in pairs], dtype=np.float64)
    inside, whole = watch.cuts.inside @ arm[Part.OUTPUTS :], watch.cuts.among @ arm[Part.OUTPUTS :]
    return np.concatenate([counted, inside, whole - inside]), np.concatenate([among, whole, whole])
