"""Which category that training had is all but gone?

Laws
- A column's rows here are those that hold a value: a burst of nulls or of refused rows is a kind of its own, and no collapse
  of every category.
- Of a column at most one category is named, the same for the same counts: those below a fifth of their share first, then
  the one that the window contradicts most.

Watched are the categories of text (also the frequent values of free text, not its buckets, which are nobody's category) and
both values of a bool, of features and outputs, where training had them in at least SHARE_MIN of its rows.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from monitoring import rates
from monitoring.reference import Reference

COLLAPSE = "collapse"
SHARE_MIN = 0.01  # a rarer category takes thousands of rows to miss, and hardly moves what the model says
LISTED_BELOW = 0.5  # of the training share: one that keeps more is no candidate, and one that had fallen has come back
REFERENCES_KNOWN = 256  # of which it is remembered: each look asks
FIRST_BELOW = 0.2  # of it: named before those that fell less

Counts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Fallen(NamedTuple):
    """A category: `seen` of the `n` rows with a value, `known` of `m` at training."""

    column: int
    what: str
    seen: int
    n: int
    known: int
    m: int


@lru_cache(maxsize=REFERENCES_KNOWN)
def collapsible(reference: Reference) -> Mask:
    """The bins that are watched; shape (all bins,)."""
    known = _rows(reference, reference.baseline)[reference.owners]
    return np.asarray(reference.categorical & (reference.baseline > 0) & (reference.baseline >= SHARE_MIN * known))


def fallen(reference: Reference, counts: Counts) -> list[Fallen]:
    """Of each column the category that fell most, where one fell or no row has a value; counts: shape (reference.size,)."""
    owner, at = reference.owners, np.flatnonzero(collapsible(reference))
    baseline = reference.expected(counts[None, :])[0]
    n, m = _rows(reference, counts)[owner[at]], _rows(reference, baseline)[owner[at]]
    seen, known = counts[at], baseline[at]
    candidate = (n == 0) | (seen * m < LISTED_BELOW * known * n)
    at, n, m, seen, known = (each[candidate] for each in (at, n, m, seen, known))
    contradicts = n * rates.distance(seen / np.maximum(n, 1), known / np.maximum(m, 1))
    first = seen * m < FIRST_BELOW * known * n
    found: dict[int, Fallen] = {}
    for i in np.lexsort((at, -contradicts, ~first)).tolist():
        if (j := int(owner[at[i]])) not in found:
            what = reference.columns[j].labels()[int(at[i] - reference.starts[j])]
            found[j] = Fallen(j, what, int(seen[i]), int(n[i]), int(known[i]), int(m[i]))
    return [found[j] for j in sorted(found)]


def may_collapse(reference: Reference, counts: Counts, ratio: float, confidence: float) -> Mask:
    """Windows in which a category could have collapsed: its share is below `ratio` of training's, and so is what it could
    be if none of the rows had it. counts: shape (windows, reference.size).
    """
    at = np.flatnonzero(collapsible(reference))
    if not at.size:
        return np.zeros(len(counts), dtype=np.bool_)
    bins, owner = len(reference.owners), reference.owners[at]
    valued = np.where(reference.valued, counts[:, :bins], 0)
    n = np.add.reduceat(valued, reference.starts[:-1], axis=1)[:, owner]
    expected = reference.expected(counts)
    trained = np.add.reduceat(np.where(reference.valued, expected, 0), reference.starts[:-1], axis=1)[:, owner]
    limit = ratio * expected[:, at] / np.maximum(trained, 1)
    least = -np.expm1(np.log1p(-confidence) / np.maximum(n, 1))  # the upper bound where none was seen
    return np.asarray(((counts[:, at] < limit * n) & (least < limit)).any(axis=1))


def _rows(reference: Reference, counts: Counts) -> Counts:
    """The rows with a value of each column."""
    kept = counts[: len(reference.owners)][reference.valued]
    return np.bincount(reference.owners[reference.valued], kept, len(reference.columns)).astype(np.int64)
