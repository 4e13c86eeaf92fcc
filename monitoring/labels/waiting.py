"""Which predictions wait for their label, and which had it: two bounded samples of one version's rows.

Laws
- While there is room every row waits; beyond `rows_max` those with the lowest keys do (bottom-k, Cohen and Kaplan 2007),
  whatever was predicted. The key says nothing of the row, so what is measured on them holds for all.
- A row waits until its label is known, or is known to be unknowable, or `wait_us` have passed. The first known label
  counts; a later one is a duplicate (says the same) or a change (says something else), for as long as the row is among
  the `rows_max` that are remembered.
- Memory: `rows_max` rows of ROW_BYTES, whatever arrives.

A row that is let go for lack of room before its label came can favour rows whose labels come early; so `let_go` is told.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from monitoring.labels.rows import ROW, Rows

DONE = np.dtype([("key", "<u8"), ("at_us", "<i8"), ("value", "<f8")])  # a NaN: unknowable
ROW_BYTES = ROW.itemsize + DONE.itemsize

Keys = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Index = npt.NDArray[np.intp]


@dataclass(slots=True)
class Waiting:
    """Owned and changed by a track. Both arrays are sorted by key."""

    rows_max: int
    rows: Rows = field(default_factory=lambda: np.empty(0, dtype=ROW))
    done: npt.NDArray[np.void] = field(default_factory=lambda: np.empty(0, dtype=DONE))
    oldest_us: int = 0  # no row and nothing remembered is older
    let_go_from: int | None = None  # the lowest key that was ever let go for lack of room

    def add(self, rows: Rows) -> tuple[Rows, Rows]:
        """Lets rows wait, sorted by key; returns those that do, and those that were let go for them."""
        rows = self._below(rows)
        new = rows[~(_inside(self.rows["key"], rows["key"]) | _inside(self.done["key"], rows["key"]))]
        if len(new):
            first = int(new["at_us"].min())
            self.oldest_us = min(self.oldest_us, first) if len(self.rows) + len(self.done) else first
        merged = np.concatenate([self.rows, new])
        order = np.argsort(merged["key"], kind="stable")
        kept = merged[order[: self.rows_max]]
        gone = order[self.rows_max :]
        self.rows = kept
        if len(gone):
            self._let_go(int(merged["key"][gone[0]]))
        entered = new[
            : len(new) - np.count_nonzero(gone >= len(merged) - len(new))
        ]  # new ones go from the highest key on
        return entered, merged[gone[gone < len(merged) - len(new)]]

    def _below(self, rows: Rows) -> Rows:
        """Those that would not be let go at once: at full room a merge of all would cost more than the rest of the fold."""
        if len(self.rows) < self.rows_max or not len(self.rows):
            return rows
        end = int(np.searchsorted(rows["key"], self.rows["key"][-1], side="right"))
        if end < len(rows):
            self._let_go(int(rows["key"][end]))
        return rows[:end]

    def _let_go(self, key: int) -> None:
        self.let_go_from = key if self.let_go_from is None else min(self.let_go_from, key)

    def find(self, keys: Keys) -> tuple[Index, Mask]:
        """The place of each key among the waiting rows, and whether it is there."""
        return _find(self.rows["key"], keys)

    def known(self, keys: Keys) -> tuple[npt.NDArray[np.float64], Mask]:
        """The label that was known of each key, and whether one was."""
        place, there = _find(self.done["key"], keys)
        values = np.full(len(keys), np.nan)
        values[there] = self.done["value"][place[there]]
        return values, there

    def beyond(self, keys: Keys) -> Mask:
        """May the rows of these keys have been let go for lack of room?"""
        if self.let_go_from is None:
            return np.zeros(len(keys), dtype=np.bool_)
        return np.asarray(keys >= np.uint64(self.let_go_from))

    def settle(self, places: Index, values: npt.NDArray[np.float64]) -> Rows:
        """Takes the rows at these places out, with what their labels said; returns them."""
        taken = self.rows[places]
        done = np.empty(len(taken), dtype=DONE)
        done["key"], done["at_us"], done["value"] = taken["key"], taken["at_us"], values
        merged = np.concatenate([self.done, done])
        self.done = merged[np.argsort(merged["key"], kind="stable")[: self.rows_max]]
        left = np.ones(len(self.rows), dtype=np.bool_)
        left[places] = False
        self.rows = self.rows[left]
        return taken

    def expire(self, before_us: int) -> Rows:
        """Takes out the rows that were answered before, and what is remembered of such; returns the waiting ones."""
        if self.oldest_us >= before_us:  # most minutes: nothing is looked through
            return self.rows[:0]
        old = self.rows["at_us"] < before_us
        gone = self.rows[old]
        self.rows, self.done = self.rows[~old], self.done[self.done["at_us"] >= before_us]
        self.oldest_us = min(
            (int(held["at_us"].min()) for held in (self.rows, self.done) if len(held)), default=before_us
        )
        return gone


def _find(held: Keys, keys: Keys) -> tuple[Index, Mask]:
    if not len(held):
        return np.zeros(len(keys), dtype=np.intp), np.zeros(len(keys), dtype=np.bool_)
    place = np.minimum(np.searchsorted(held, keys), len(held) - 1)
    return place, np.asarray(held[place] == keys)


def _inside(held: Keys, keys: Keys) -> Mask:
    return _find(held, keys)[1]
