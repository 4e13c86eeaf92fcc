"""What does a change of a column of categories look like? Each entry of the catalogue is undone, and what is left tested.

Law: shapes are (categories,), in the order of the contract; texts outside them are counted apart, by text.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from monitoring.explain.fit import Candidate, Fit, choose, fit
from monitoring.explain.looks import (
    AnyLook,
    Frozen,
    Merged,
    NewCategory,
    Renamed,
    Respelt,
    Unrecognised,
    Vanished,
    Weighted,
)

NAMES_MAX = 3  # new texts that a story names
EXPECTED_MIN = 8.0  # rows of a category that is told to have vanished: fewer may be absent by chance (e⁻⁸)
FROZEN_SHARE = 0.99
GONE = 0.2  # of its rows that may still come: the sample may begin a little before the change
NEW_MIN = 0.005  # share of rows with new texts that is worth a name

Floats = npt.NDArray[np.float64]


def recognise_categories(
    names: Sequence[str], expected: Floats, seen: Floats, unseen: Mapping[str, int], rows: float
) -> tuple[AnyLook, Fit]:
    """`expected`: weights that stand for `rows` rows; `unseen`: rows by a text outside the categories."""
    new = float(sum(unseen.values()))
    came = fit(np.array([0.0, *expected, 0.0]), np.array([new, *seen, 0.0]), rows, range_known=True)
    n = float(seen.sum()) + new
    if n <= 0:
        return Unrecognised(rows=0), came
    whole = _Column(names, expected, seen, unseen, rows)
    found = [*_one_value(whole), *_new(whole), *_gone(whole), *_weighted(whole)]
    best = choose(found, came)
    return (best.look if best is not None else Unrecognised(rows=int(n))), came


class _Column:
    def __init__(
        self, names: Sequence[str], expected: Floats, seen: Floats, unseen: Mapping[str, int], rows: float
    ) -> None:
        self.names, self.expected, self.seen, self.unseen, self.rows = names, expected, seen, unseen, rows
        self.new = float(sum(unseen.values()))
        self.n = float(seen.sum()) + self.new
        self.should = expected / max(1.0, float(expected.sum())) * self.n

    def fit(self, seen: Floats) -> Fit:
        """Of these counts, as if nothing new had come."""
        return fit(self.expected, seen, self.rows)

    def fit_all(self, expected: Floats, seen: Floats) -> Fit:
        """With the new texts, of which there should be none."""
        return fit(np.array([0.0, *expected, 0.0]), np.array([self.new, *seen, 0.0]), self.rows, range_known=True)

    def gone(self) -> list[int]:
        """Categories of which there should be some and is next to none."""
        return [
            i
            for i in range(len(self.names))
            if self.should[i] >= EXPECTED_MIN and self.seen[i] <= GONE * self.should[i]
        ]


def _one_value(column: _Column) -> Iterator[Candidate]:
    most = int(np.argmax(column.seen))
    if column.seen[most] >= FROZEN_SHARE * column.n and column.should[most] < 0.9 * column.n:
        yield Candidate(Frozen(value=column.names[most]), 0, Fit(0.0, 1, column.n))


def _new(column: _Column) -> Iterator[Candidate]:
    if column.new < max(3.0, NEW_MIN * column.n):
        return
    share, ranked = round(column.new / column.n, 2), sorted(column.unseen, key=lambda t: (-column.unseen[t], t))
    # Its share is a number that was chosen; a renamed category's is given by what it was.
    others = column.fit(column.seen) if column.seen.sum() else Fit(0.0, 1, column.n)
    yield Candidate(NewCategory(names=tuple(ranked[:NAMES_MAX]), share=share), 1, others)
    if column.unseen[ranked[0]] >= 0.95 * column.new:
        for i in column.gone():
            back = column.seen.copy()
            back[i] += column.new
            yield Candidate(Renamed(old=column.names[i], new=ranked[0], share=share), 0, column.fit(back))
    known = {_plain(name): i for i, name in enumerate(column.names)}
    if len(column.unseen) > 1 and all(_plain(text) in known for text in column.unseen):
        back = column.seen.copy()
        for text, rows in column.unseen.items():
            back[known[_plain(text)]] += rows
        yield Candidate(Respelt(example=ranked[0], share=share), 0, column.fit(back))


def _plain(text: str) -> str:
    return "".join(text.casefold().replace("_", " ").replace("-", " ").split())


def _gone(column: _Column) -> Iterator[Candidate]:
    for i in column.gone():
        trained = round(float(column.should[i] / column.n), 3)
        yield Candidate(
            Vanished(category=column.names[i], trained=trained, share=trained),
            1,
            column.fit_all(np.delete(column.expected, i), np.delete(column.seen, i)),
        )
        excess = column.seen - column.should
        into = int(np.argmax(excess))
        pooled, expected = column.seen.copy(), column.expected.copy()
        pooled[into] += pooled[i]
        expected[into] += expected[i]
        pooled[i] = expected[i] = 0.0
        yield Candidate(
            Merged(old=column.names[i], into=column.names[into], share=trained), 1, column.fit_all(expected, pooled)
        )


def _weighted(column: _Column) -> Iterator[Candidate]:
    far = np.abs(column.seen - column.should) / np.sqrt(np.maximum(column.should, 1.0))
    i = int(np.argmax(far))
    trained, now = float(column.should[i] / column.n), float(column.seen[i] / column.n)
    look = Weighted(
        category=column.names[i], trained=round(trained, 3), now=round(now, 3), share=round(abs(now - trained), 3)
    )
    yield Candidate(look, 1, column.fit_all(np.delete(column.expected, i), np.delete(column.seen, i)))
