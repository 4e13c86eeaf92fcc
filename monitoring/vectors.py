"""How are counts written: vectors and rings as values of a checkpoint.

Law: vectors are stored in the narrowest unsigned type that holds them, because most counts are small; they come back as they
were.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from monitoring.window import Ring, Span

Counts = npt.NDArray[np.int64]
_TYPES = ("u1", "<u2", "<u4", "<i8")


class StoredVector(msgspec.Struct, frozen=True, array_like=True):
    dtype: str
    data: bytes


class StoredRing(msgspec.Struct, frozen=True, array_like=True):
    window_minutes: int
    slice_minutes: int
    slices: dict[int, StoredVector]


def pack(counts: Counts) -> StoredVector:
    """A vector as it is written."""
    largest, least = int(counts.max(initial=0)), int(counts.min(initial=0))
    fits = [t for t in _TYPES if least >= np.iinfo(t).min and largest <= np.iinfo(t).max]
    return StoredVector(fits[0], counts.astype(fits[0]).tobytes())


def unpack(vector: StoredVector, size: int | None = None) -> Counts:
    """The vector that was written. Raises ValueError."""
    if vector.dtype not in _TYPES:
        raise ValueError(f"vector of {vector.dtype!r}")
    counts = np.frombuffer(vector.data, dtype=vector.dtype).astype(np.int64)
    if size is not None and counts.size != size:
        raise ValueError(f"vector of {counts.size} counts instead of {size}")
    return counts


def pack_ring(ring: Ring) -> StoredRing:
    """A ring as it is written."""
    slices = {number: pack(counts) for number, counts in ring.slices.items()}
    return StoredRing(ring.span.window_minutes, ring.span.slice_minutes, slices)


def unpack_ring(held: StoredRing, span: Span) -> Ring:
    """The ring that was written; an empty one where it had another span. Raises ValueError."""
    ring = Ring(span)
    if (held.window_minutes, held.slice_minutes) != (span.window_minutes, span.slice_minutes):
        return ring
    for number, vector in sorted(held.slices.items()):
        ring.add(number * span.slice_minutes, unpack(vector))
    return ring
