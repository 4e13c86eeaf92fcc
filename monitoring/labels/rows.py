"""The rows of a version that a label may come for: what was predicted, as one array.

Laws
- A row is there where its prediction is a finite number (a probability: in [0, 1]); the others are counted as `unscored`.
- Of two rows with one key the one that was answered first stands, then the one with the least bits: the order of reading does
  not show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.contract import Kind
from models.task import TaskKind
from monitoring.labels.ask import Ask
from monitoring.labels.keys import request_keys, row_keys
from service.featurelog.cells import Joined, join
from service.featurelog.record import PartRequest, Request, row_numbers

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.void]

# `key` of the row, `who`: of its request; `said`: the class as models.task.outcome numbers it, `score`: what is graded.
ROW = np.dtype([("key", "<u8"), ("who", "<u8"), ("at_us", "<i8"), ("said", "<f8"), ("score", "<f8")])


@dataclass(frozen=True, slots=True)
class Predicted:
    """Rows by key, and how many could not be graded."""

    rows: Rows
    unscored: int = 0


NONE = Predicted(np.empty(0, dtype=ROW))


def read(requests: Sequence[Request], ask: Ask) -> Predicted:
    """What these requests of one version were answered."""
    answered = [request for request in requests if request.outputs is not None and request.outputs.n]
    if not answered:
        return NONE
    counts = np.array([request.outputs.n for request in answered if request.outputs is not None], dtype=np.int64)
    joined = join([request.outputs for request in answered], counts.tolist(), ask.outputs)
    rows = np.empty(int(counts.sum()), dtype=ROW)
    rows["who"] = np.repeat(request_keys([request.request_id for request in answered]), counts)
    rows["key"] = row_keys(rows["who"], _numbers_of_rows(answered, counts))
    rows["at_us"] = np.repeat(np.array([request.at_us for request in answered], dtype=np.int64), counts)
    rows["said"], rows["score"] = _predictions(joined, ask)
    fit = np.isfinite(rows["score"]) & np.isfinite(rows["said"])
    if ask.kind is not TaskKind.NUMBER:
        fit &= (rows["score"] >= 0) & (rows["score"] <= 1)
    return Predicted(distinct(rows[fit]), int(len(rows) - np.count_nonzero(fit)))


def distinct(rows: Rows) -> Rows:
    """By key, one row each."""
    if len(rows) == 0:
        return rows
    rows = rows[np.argsort(rows["key"], kind="stable")]
    first = np.ones(len(rows), dtype=np.bool_)
    first[1:] = rows["key"][1:] != rows["key"][:-1]
    if first.all():
        return rows
    rows = rows[np.lexsort((rows["score"], rows["said"], rows["at_us"], rows["key"]))]  # rare, and six times as slow
    return rows[first]


def _numbers_of_rows(requests: Sequence[Request], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The number that each row has in its request."""
    starts = np.cumsum(counts) - counts
    numbers = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(starts, counts)
    for place, request in enumerate(requests):
        if isinstance(request, PartRequest):
            start, n = int(starts[place]), int(counts[place])
            numbers[start : start + n] = row_numbers(request, n)
    return numbers


def _predictions(joined: Joined, ask: Ask) -> tuple[Floats, Floats]:
    """(said, score) of every row, NaN where it has none."""
    said = _numbers(joined, ask, ask.said)
    if ask.kind is not TaskKind.CLASSES:
        return np.zeros_like(said), said
    if not ask.confidence:
        return said, np.where(np.isnan(said), np.nan, 0.5)
    shares = np.stack([_numbers(joined, ask, place) for place in ask.confidence])
    if ask.said in ask.confidence:  # no output names the class: it is the likeliest
        said = np.where(np.isnan(shares).any(axis=0), np.nan, np.nan_to_num(shares).argmax(axis=0))
    return said, np.asarray(shares.max(axis=0))


def _numbers(joined: Joined, ask: Ask, place: int) -> Floats:
    cells, kind = joined.cells[place], ask.outputs[place].kind
    numbers: Floats = cells.view(np.float64).copy() if kind is Kind.FLOAT else cells.astype(np.float64)
    if kind is Kind.STRING:
        numbers[(cells < 0) | (cells >= len(ask.outputs[place].categories or ()))] = np.nan
    if joined.null is not None:
        numbers[joined.null[place]] = np.nan
    return numbers
