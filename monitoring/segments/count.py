"""How many rows of each segment lie in each bin: what the tally is to a version, to a part of its rows.

Laws
- The counts of A and B together are counts(A) + counts(B), to the integer, as the tally's are.
- A row is counted in a segment with its features and with what was answered to it, or not at all: requests of which one of the
  two contradicts the schema are in no segment.
- Refused rows are in none: the log does not hold their values.

Cost with one declared feature of four categories, beside a fold of 20 features: see docs/drift.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.contract import Kind
from monitoring.reference import Extra, Reference
from monitoring.segments.plan import InBins, Segment
from monitoring.tally import Read, is_sound, read_blocks
from service.featurelog.record import Block, Request

Counts = npt.NDArray[np.int64]
Index = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureRows:
    """The rows of a chunk as a test of grammar.py asks for them."""

    read: Read
    reference: Reference

    @property
    def n(self) -> int:
        return self.read.n

    def null(self, feature: int) -> Mask:
        return np.zeros(self.n, np.bool_) if self.read.nulls is None else self.read.nulls[feature]

    def numbers(self, feature: int) -> npt.NDArray[np.float64]:
        cells = self.read.cells[feature]
        if self.reference.columns[feature].kind is Kind.FLOAT:
            cells = cells.view("<f8")
        numbers: npt.NDArray[np.float64] = cells.astype(np.float64, copy=False)
        return numbers

    def is_any(self, feature: int, texts: frozenset[str]) -> Mask:
        found = np.zeros(self.n, np.bool_)
        categories = self.reference.columns[feature].categories
        if categories is not None:
            codes = [code for code, text in enumerate(categories) if text in texts]
            found |= np.isin(self.read.cells[feature], codes)
        rows = [row for row, place, text in self.read.texts() if place == feature and text in texts]
        found[rows] = True
        return found


def count_segments(requests: Sequence[Request], reference: Reference) -> dict[str, Counts]:
    """The counts of each segment that any of these rows is in; each of shape (reference.segment_size,)."""
    features, outputs = _paired(requests, reference)
    if not reference.segments.segments or not features:
        return {}
    width, k = len(reference.columns), reference.features
    asked = read_blocks(features, reference, range(k))
    bins = [asked.bins]
    if outputs:
        bins.append(read_blocks(outputs, reference, range(k, width)).bins)
    placed = np.concatenate(bins)
    rows = FeatureRows(asked, reference)
    found = {
        segment.name: _counts(placed, _mask(segment, rows, reference), reference)
        for segment in reference.segments.segments
    }
    return {name: counts for name, counts in found.items() if counts is not None}


def _paired(requests: Sequence[Request], reference: Reference) -> tuple[list[Block], list[Block]]:
    """The blocks of requests whose features and outputs belong together, row for row."""
    kinds = [column.kind for column in reference.columns]
    asked, answered = kinds[: reference.features], kinds[reference.features :]
    features, outputs = [], []
    for request in requests:
        block, said = request.features, request.outputs
        if block is None or not is_sound(block, asked):
            continue
        if answered:
            if said is None or said.n != block.n or not is_sound(said, answered):
                continue
            outputs.append(said)
        features.append(block)
    return features, outputs


def _mask(segment: Segment, rows: FeatureRows, reference: Reference) -> Mask:
    if isinstance(segment.rows, InBins):
        start = reference.starts[segment.rows.feature]
        return np.isin(rows.read.bins[segment.rows.feature], start + np.array(segment.rows.bins, dtype=np.intp))
    return segment.rows(rows)


def _counts(placed: Index, mask: Mask, reference: Reference) -> Counts | None:
    rows = int(np.count_nonzero(mask))
    if not rows:
        return None
    counts = np.bincount(placed[:, mask].ravel(), minlength=reference.segment_size)
    counts[int(reference.starts[-1]) + Extra.ROWS_ANSWERED] = rows
    return counts
