"""Is a share of the canary's requests larger than stable's in the same minutes, by more than a margin?

The null: in every minute t the mean chance of the canary's requests is at most that of stable's plus the margin,
c_t ≤ s_t + δ. Both may change from minute to minute as they like; the requests of a minute are independent, given
their chances.

A bet of a minute. Take any θ in (0, 1 − δ) and any stake a ≥ 0 that were fixed before its outcomes were seen, and
b = a · n_c / n_s ≤ 1 / (1 − θ), where n_c and n_s are the requests of the two arms. With x_i (canary) and y_j (stable)
being 1 for a request that is counted and 0 for one that is not, the bet multiplies what was put on it by

    E = Π_i (1 + a · (x_i − θ − δ)) · Π_j (1 − b · (y_j − θ)).

Under the null E has expectation ≤ 1: by 1 + u ≤ e^u it is at most
exp(a · Σ(c_i − θ − δ) − b · Σ(s_j − θ)) = exp(a · n_c · (c_t − s_t − δ)) ≤ 1. So θ, a guess of stable's
share, decides how much is won and not whether the test holds; and only the mean chance of a minute matters, not that all
requests are alike.

Laws
- Wealth starts at 1, and under the null its expectation never rises (a supermartingale), so P(it ever reaches 1/α) ≤ α at
  whatever and however many minutes it is looked at (Ville 1939). The mean of several wealths is one too.
- Each minute's wealth is spread over `STRATEGIES`: one keeps what it has, the others bet that the odds are ODDS times
  what the null allows. After each minute a share SHARED is spread anew, so a minute of shock costs little more than what
  was staked in it, and a canary that turns bad late is found late but found (fixed share, Herbster and Warmuth 1998).
- Where requests come in groups of up to m with one outcome (retries, a batch that fails whole), E^(1/m) keeps the law:
  a group then counts as one request, by Jensen's inequality for the power 1/m.

Sources: two-sample e-variables with a margin, Turner, Ly and Grünwald (JSPI 2024) and Turner and Grünwald (Stat. Prob.
Letters 2023); betting on bounded means, Waudby-Smith and Ramdas (JRSS B 2024).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

# The alternatives that are bet on, as odds over the odds that the null allows. The stake a = (m − 1)/(1 + (m − 1)(θ + δ))
# makes the canary's part of E the likelihood ratio of those odds.
ODDS = np.array([1.5, 2.5, 8.0])
STRATEGIES = 1 + len(ODDS)
KEPT = 0.2  # of each new spread: what is not staked
SHARED = 0.005  # a minute: what had grown in one strategy is spread once in three hours
STABLE_STAKE_MAX = 0.5  # of b·(1 − θ): one error of stable then never takes more than half of what was staked
LEVEL_MIN = 1e-6

Floats = npt.NDArray[np.float64]

_SPREAD = np.log(np.array([KEPT, *np.full(len(ODDS), (1 - KEPT) / len(ODDS))]))


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One minute of each comparison; shapes (comparisons,): of `n` requests of an arm `k` are counted."""

    canary_k: Floats
    canary_n: Floats
    stable_k: Floats
    stable_n: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Wealth:
    """Natural logarithms by comparison and strategy; shape (comparisons, STRATEGIES)."""

    logs: Floats

    @classmethod
    def start(cls, comparisons: int) -> Self:
        return cls(np.tile(_SPREAD, (comparisons, 1)))

    @property
    def log_totals(self) -> Floats:
        """The wealth of each comparison; shape (comparisons,)."""
        return log_sum(self.logs)

    def after(self, seen: Seen, guess: Floats, margin: Floats, together: Floats) -> Self:
        """The wealth after a minute; guess: stable's share as it was thought before, margin: δ, together: m, how many requests
        share one outcome; shapes (comparisons,).
        """
        logs = self.logs.copy()
        logs[:, 1:] += log_gains(seen, guess, margin) / together[:, None]
        totals = log_sum(logs)[:, None]
        return type(self)(np.logaddexp(logs + np.log1p(-SHARED), totals + np.log(SHARED) + _SPREAD))


def log_gains(seen: Seen, guess: Floats, margin: Floats) -> Floats:
    """ln E of each comparison for each of ODDS; shape (comparisons, len(ODDS)); 0 where an arm has no request."""
    both = (seen.canary_n > 0) & (seen.stable_n > 0)
    stable = np.clip(guess, LEVEL_MIN, 1 - margin - LEVEL_MIN)[:, None]  # θ
    canary = stable + margin[:, None]
    ratio = np.where(both, seen.canary_n / np.maximum(seen.stable_n, 1), 0.0)[:, None]
    wanted = (ODDS - 1) / (1 + (ODDS - 1) * canary)
    most = STABLE_STAKE_MAX / (1 - stable)
    stake = wanted * np.minimum(1.0, most / np.maximum(wanted * ratio, most))
    stable_stake = stake * ratio
    k_c, n_c, k_s, n_s = (part[:, None] for part in (seen.canary_k, seen.canary_n, seen.stable_k, seen.stable_n))
    gains: Floats = (
        k_c * np.log1p(stake * (1 - canary))
        + (n_c - k_c) * np.log1p(-stake * canary)
        + k_s * np.log1p(-stable_stake * (1 - stable))
        + (n_s - k_s) * np.log1p(stable_stake * stable)
    )
    return np.where(both[:, None], gains, 0.0)


def log_sum(logs: Floats) -> Floats:
    """ln Σ exp along the last axis."""
    top = logs.max(axis=-1)
    sums: Floats = top + np.log(np.exp(logs - top[..., None]).sum(axis=-1))
    return sums
