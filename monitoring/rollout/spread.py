"""Do requests share their outcome, and how many at once? Learnt from stable beside itself.

Callers retry, and a route that is sticky sends all of a caller's requests to one arm; so its errors come in groups that
fall into one arm whole, and a test that takes them for so many witnesses is sure too early. The same happens between two
halves of stable, of even and odd bucket: there a caller is in one half whole too, and nothing else is different. Of n requests
of a minute, n₁ in the first half, k are counted, k₁ of them in the first half. If each were alone, k₁ would be hypergeometric:

    E (k₁ − n₁ k/n)² = n₁ n₂ k (n − k) / (n² (n − 1)),

and with groups it is larger by the factor Σ size² / Σ size, the size of the group that a request is in, in the mean (the design
effect of a cluster sample, Kish 1965). What moves both halves at once, such as an outage of a minute, does not move it.

Laws
- Only minutes before the one that is judged are used, so a bet's exponent is fixed before the minute is seen.
- It is an estimate: the bound on false rollbacks is exact where requests are alone or `together` of the document is as large as
  the largest group; in between it rests on this.
- FIRST_MINUTES minutes of groups of FIRST_SIZE are added: before anything is known of them, groups are to be expected.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from monitoring.rollout.betting import Floats

FIRST_MINUTES, FIRST_SIZE = 5, 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Sums over minutes; shapes (comparisons,): `found` squares, `expected` ones, and `minutes` in which there was anything."""

    found: Floats
    expected: Floats
    minutes: Floats

    @classmethod
    def start(cls, comparisons: int) -> Self:
        nothing = np.zeros(comparisons)
        return cls(nothing, nothing, nothing)

    def after(self, half_k: Floats, half_n: Floats, k: Floats, n: Floats) -> Self:
        """With one minute more; `half`: of the requests in one half of the buckets."""
        whole = np.maximum(n, 2)
        square = (half_k - half_n * k / whole) ** 2
        expected = half_n * (n - half_n) * k * (n - k) / (whole**2 * (whole - 1))
        told = expected > 0
        return type(self)(
            self.found + np.where(told, square, 0.0),
            self.expected + np.where(told, expected, 0.0),
            self.minutes + told,
        )

    @property
    def together(self) -> Floats:
        """How many requests share an outcome, at least 1; shape (comparisons,)."""
        ratio = np.divide(self.found, self.expected, out=np.ones_like(self.found), where=self.expected > 0)
        size: Floats = (ratio * self.minutes + FIRST_SIZE * FIRST_MINUTES) / (self.minutes + FIRST_MINUTES)
        return np.maximum(size, 1.0)
