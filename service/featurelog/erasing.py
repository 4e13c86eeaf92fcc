"""What stands where a record or some of its rows were erased (FORMAT.md §8); ● no I/O.

Laws
- The frame is as long as it was, with the same seq; what an account counted it counts still.
- Of the rows that are left every cell, null mark and text is what it was.
"""

from collections.abc import Sequence, Set
from typing import Any

from msgspec.structs import asdict

from service.featurelog.errors import ErasureImpossible
from service.featurelog.framing import FRAME_BYTES, frame
from service.featurelog.record import (
    Block,
    Erased,
    Feedback,
    PartRequest,
    PartShadow,
    Payload,
    Request,
    Shadow,
    encode,
    row_numbers,
)

_NIL = b"\xc0"


def without_record(record: Request | Shadow | Feedback, rows: int, seq: int, size: int) -> bytes:
    """The frame of `size` bytes that takes the place of this record's."""
    outcome = record.outcome.value if isinstance(record, Request) else ""
    return _fitted(Erased(record.at_us, outcome, rows), seq, size)


def without_rows(record: Request | Shadow, gone: Set[int], seq: int, size: int) -> bytes:
    """The same where other rows stay. Raises ErasureImpossible: too little to put the mark in its place."""
    fields: dict[str, Any] = {name: value for name, value in asdict(record).items() if name not in ("erased", "pad")}
    before = record.erased if isinstance(record, PartRequest | PartShadow) else ()
    fields |= {"erased": tuple(sorted({*before, *gone})), "outputs": _without(record, record.outputs, gone)}
    if isinstance(record, Request):
        fields |= {"features": _without(record, record.features, gone), "tensors": None}
        return _fitted(PartRequest(**fields), seq, size)
    return _fitted(PartShadow(**fields), seq, size)


def _without(record: Request | Shadow, block: Block | None, gone: Set[int]) -> Block | None:
    if block is None or block.n == 0:
        return block
    keep = [place for place, number in enumerate(row_numbers(record, block.n)) if number not in gone]
    new = {place: row for row, place in enumerate(keep)}
    text = [(new[row], column, value) for row, column, value in block.text or () if row in new]
    nulls = None if block.nulls is None else _picked(block.nulls, block.n, keep)
    return Block(len(keep), _picked(block.cells, block.n, keep), nulls, text or None)


def _picked(data: bytes, n: int, keep: Sequence[int]) -> bytes:
    width = len(data) // n
    return b"".join([data[place * width : (place + 1) * width] for place in keep])


def _fitted(payload: Payload, seq: int, size: int) -> bytes:
    """`payload` ends with a pad of nil, which becomes as long as is needed."""
    bare = encode(payload).removesuffix(_NIL)
    room = size - len(frame(bare, seq))
    found = frame(bare + _pad(room), seq) if room > 0 else b""
    if len(found) != size:
        raise ErasureImpossible(seq, size - FRAME_BYTES, len(bare) + 1)
    return found


def _pad(size: int) -> bytes:
    """A MessagePack value of exactly so many bytes: nil, or zeros whose length is written as wide as it takes."""
    if size == 1:
        return _NIL
    for code, wide in ((b"\xc4", 1), (b"\xc5", 2), (b"\xc6", 4)):
        zeros = size - 1 - wide
        if zeros < 1 << (8 * wide):
            return code + zeros.to_bytes(wide, "big") + bytes(zeros)
    raise AssertionError("longer than a frame")
