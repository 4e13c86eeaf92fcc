"""Into which bin does a text fall whose column has more values than a contract lists? The frequent ones have a bin each, the
others share a fixed number by their hash.

Laws
- Every text has exactly one bin, the same in every process and for ever: training and window are counted alike.
- A value that fewer than TOP_ROWS_MIN training rows had stands nowhere in clear: an identifier leaves hashes' counts only.
- Counting is addition, and bounded: TOP_MAX + BUCKETS bins, however many texts come.

A shift among rare values shows as a shift among buckets: k values that move together are seen unless they fall into buckets
that balance them. The hash is CRC-32 of the UTF-8 text (zlib), which spreads sequential identifiers evenly and is the
cheapest that is alike everywhere: 64 000 names `user-000000`… fall into 64 buckets as 993 to 1 007 each. One text costs
0.6 µs (dictionary and hash together, 10⁶ texts of 12 characters of which half are frequent; with blake2b it is 1.8 µs).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from zlib import crc32

import numpy as np
import numpy.typing as npt

from models.baseline import SPECIALS, ColumnBaseline, bin_codes
from models.contract import Column, Kind

TOP_MAX = (
    64  # with BUCKETS as many bins as half of the largest enumerated column: merged by the test where they are thin
)
BUCKETS = 64  # a value of 1.5 % of the rare rows doubles a bucket
TOP_ROWS_MIN = 20  # a value of fewer rows is no category but somebody's name

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FreeText:
    """The places of texts: `known` the frequent ones in the baseline's order, then `buckets`."""

    known: Mapping[str, int]
    buckets: int

    @classmethod
    def of(cls, column: ColumnBaseline) -> Self | None:
        """How a column's texts are counted; None where its categories are listed, or nothing is known of them."""
        if not column.buckets:
            return None
        return cls({text: place for place, text in enumerate(column.top)}, column.buckets)

    def code(self, text: str) -> int:
        """Which value bin, from 0."""
        place = self.known.get(text)
        if place is None:
            return len(self.known) + crc32(text.encode("utf-8", "surrogatepass")) % self.buckets
        return place

    def codes(self, texts: Sequence[str]) -> Codes:
        """The value bin of each text; shape (n,)."""
        return np.fromiter(map(self.code, texts), dtype=np.int64, count=len(texts))


def top_values(texts: Iterable[str]) -> tuple[str, ...]:
    """The frequent values, most frequent first, ties by text."""
    often = [(-rows, text) for text, rows in Counter(texts).items() if rows >= TOP_ROWS_MIN]
    return tuple(text for _, text in sorted(often)[:TOP_MAX])


def column_of_texts(
    column: Column, texts: npt.NDArray[np.object_], null: npt.NDArray[np.bool_]
) -> tuple[ColumnBaseline, Codes]:
    """Reference of a column of free text, and the value bin of each of its cells; texts, null: shape (n,)."""
    top = top_values(texts[~null])
    free = FreeText({text: place for place, text in enumerate(top)}, BUCKETS)
    codes = free.codes(texts.tolist())
    counts = np.bincount(bin_codes(codes, null), minlength=SPECIALS + len(top) + BUCKETS)
    reference = ColumnBaseline(
        name=column.name, kind=Kind.STRING, top=top, buckets=BUCKETS, counts=tuple(int(c) for c in counts)
    )
    return reference, codes
