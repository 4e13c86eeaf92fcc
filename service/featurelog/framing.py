"""Payload to frame and back (FORMAT.md §3).

Laws
- scan(frame(p, s)) finds exactly (p, s); any byte changed in a frame makes it not be found.
- scan never raises: damage is a value (`Damage`) between frames, an unfinished end is `Tail`.
- The marker stands in no payload as written: what looks like a frame inside the values of a client is never found, also
  where the frame around it is torn.
"""

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

import numpy as np
from isal.isal_zlib import crc32

MARKER = b"\x50\x4c\x42\xf1"
PAYLOAD_BYTES_MAX = (
    64 * 1024 * 1024
)  # twice the largest body the service accepts; a length above it is damage, not a frame
_HEAD = Struct("<4sIQI")
_COVERED = Struct("<IQ")
FRAME_BYTES = _HEAD.size
WORDWISE_BYTES = 8192  # from here on a comparison by words is faster than a search
_MARKER_WORD = int.from_bytes(MARKER, "little")
_STUFFED = 1 << 31  # of the length: the payload held a marker and was stuffed
_ESCAPE = b"\x50\x4c\x42\xf2"


class Frame(NamedTuple):
    """A frame that checks; `offset` and `end` in the scanned buffer."""

    seq: int
    payload: memoryview
    offset: int
    end: int


class Damage(NamedTuple):
    """Bytes [offset, end) that are no frame, with a good frame after them."""

    offset: int
    end: int


class Tail(NamedTuple):
    """Bytes from `offset` to the end that are no whole frame: a write in progress, or damage that reaches the end."""

    offset: int
    end: int


def frame(payload: bytes, seq: int) -> bytes:
    """The bytes of one frame."""
    stuffed = 0
    if _has_marker(payload):
        payload, stuffed = payload.replace(_ESCAPE, _ESCAPE + b"\x00").replace(MARKER, _ESCAPE + b"\x01"), _STUFFED
    length = len(payload) | stuffed
    crc = crc32(payload, crc32(_COVERED.pack(length, seq)))
    return _HEAD.pack(MARKER, length, seq, crc) + payload


def _has_marker(payload: bytes) -> bool:
    """`MARKER in payload`; a large one is looked through as words of four bytes (160 kB: 28 µs, not 72)."""
    if len(payload) < WORDWISE_BYTES:
        return MARKER in payload
    words = len(MARKER)
    return any(
        (np.frombuffer(payload, "<u4", (len(payload) - start) // words, start) == _MARKER_WORD).any()
        for start in range(words)
    )


def scan(data: bytes, start: int = 0) -> Iterator[Frame | Damage | Tail]:
    """Every frame from `start` on, with what lies between them; O(bytes) of what a writer wrote."""
    view = memoryview(data)
    offset = start
    while offset < len(view):
        found = _frame_at(view, offset)
        if found is None:
            good = _next_good(data, view, offset + 1)
            if good is None:
                yield Tail(offset, len(view))
                return
            yield Damage(offset, good.offset)
            found = good
        yield found
        offset = found.end


def _frame_at(view: memoryview, offset: int) -> Frame | None:
    if offset + FRAME_BYTES > len(view):
        return None
    marker, flagged, seq, crc = _HEAD.unpack_from(view, offset)
    length = flagged & ~_STUFFED
    end = offset + FRAME_BYTES + length
    if marker != MARKER or length > PAYLOAD_BYTES_MAX or end > len(view):
        return None
    payload = view[offset + FRAME_BYTES : end]
    if crc32(payload, crc32(view[offset + 4 : offset + 16])) != crc:
        return None
    if flagged & _STUFFED:
        payload = memoryview(bytes(payload).replace(_ESCAPE + b"\x01", MARKER).replace(_ESCAPE + b"\x00", _ESCAPE))
    return Frame(seq, payload, offset, end)


def _next_good(data: bytes, view: memoryview, start: int) -> Frame | None:
    at = data.find(MARKER, start)
    while at >= 0:
        if (found := _frame_at(view, at)) is not None:
            return found
        at = data.find(MARKER, at + 1)
    return None
