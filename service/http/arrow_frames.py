"""How many rows and bytes does an Arrow stream say it holds? Read from its frames alone, before anything is allocated for it.

A stream is messages: a marker, the length of the metadata, the metadata (a flatbuffer), and a body of buffers whose length the
metadata tells. A compressed buffer says in its first 8 bytes how long it will be. (Arrow columnar format 1.5, "IPC".)

Laws
- Every byte of a stream belongs to a message or to its end mark, or the stream is refused.
- No message names a place of another's metadata, and the pairs of all are counted before one is read.
- `held_bytes` is at least what reading the stream allocates for its buffers.
- Columns are flat: all of a batch are as long as the batch, so a length that costs no bytes cannot be claimed for one.
"""

import struct
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

MESSAGES_MAX = 1024  # writers cut at some 10 000 rows; so many empty batches would take a second to read
PAIRS_MAX = 1 << 17  # nodes and buffers, 4 a column and batch: 16 batches of 2 000 columns; walked in 20 ms
SCHEMA_BYTES_MAX = 1 << 20  # 2 000 columns with what pandas writes of each
_MARKER = 0xFFFFFFFF
_SCHEMA, _DICTIONARY, _RECORDS = 1, 2, 3
_NOT_COMPRESSED = -1
_u8, _u16, _u32, _i32, _i64, _pair = (Struct(f"<{code}") for code in ("B", "H", "I", "i", "q", "qq"))


class Held(NamedTuple):
    """What a stream says it holds."""

    rows: int
    held_bytes: int


class Message(NamedTuple):
    """One message: the kind and the place of its header table, and where its body lies."""

    kind: int
    header: "Fields"
    body: int
    size: int


class Fields:
    """A table of a flatbuffer: its fields by number, at places of its own message's metadata."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._slots = at - _i32.unpack_from(data, at)[0]
        if self._slots < 0:
            raise ValueError("a table outside its message")
        self._size: int = _u16.unpack_from(data, self._slots)[0]

    def place(self, number: int) -> int | None:
        """Where the field's value is; None where it was left out."""
        slot = 4 + 2 * number
        offset = _u16.unpack_from(self._data, self._slots + slot)[0] if slot < self._size else 0
        return self._at + offset if offset else None

    def integer(self, number: int, code: Struct) -> int:
        at = self.place(number)
        return 0 if at is None else int(code.unpack_from(self._data, at)[0])

    def table(self, number: int) -> "Fields | None":
        at = self.place(number)
        return None if at is None else Fields(self._data, at + _u32.unpack_from(self._data, at)[0])

    def pairs(self, number: int) -> "Pairs":
        """A vector of two 64-bit integers each; not read yet."""
        at = self.place(number)
        if at is None:
            return Pairs(self._data, 0, 0)
        at += _u32.unpack_from(self._data, at)[0]
        count = _u32.unpack_from(self._data, at)[0]
        if count * _pair.size > len(self._data) - at - 4:
            raise ValueError("a vector longer than its message")
        return Pairs(self._data, at + 4, count)


class Pairs(NamedTuple):
    """Where a vector of pairs lies; it has room for all of them."""

    data: bytes
    at: int
    n: int

    def read(self) -> Iterator[tuple[int, int]]:
        return (_pair.unpack_from(self.data, self.at + i * _pair.size) for i in range(self.n))


class Batch(NamedTuple):
    """The header of a record batch, or of the values of a dictionary; `adds`: to those that it had, which are copied."""

    length: int
    nodes: Pairs
    buffers: Pairs
    compressed: bool
    dictionary: int = 0
    adds: bool = False


def held(stream: bytes) -> Held:
    """Raises ValueError with what was found and expected."""
    rows = held_bytes = pairs = 0
    dictionaries: dict[int, int] = {}  # their bytes
    try:
        for number, message in enumerate(_messages(stream)):
            if (message.kind == _SCHEMA) != (number == 0):
                raise ValueError("a message out of its order, expected one schema and then batches")
            if number >= MESSAGES_MAX:
                raise ValueError(f"more than {MESSAGES_MAX} messages, expected larger batches")
            if message.kind != _SCHEMA:
                batch = _batch(message)
                pairs += batch.nodes.n + batch.buffers.n
                if pairs > PAIRS_MAX:
                    raise ValueError(f"more than {PAIRS_MAX} nodes and buffers, expected larger batches")
                size = _size(stream, message, batch)
                if message.kind == _RECORDS:
                    rows += batch.length
                else:
                    size += dictionaries.get(batch.dictionary, 0) if batch.adds else 0
                    dictionaries[batch.dictionary] = size
                held_bytes += size
    except struct.error as error:
        raise ValueError("truncated, or a place outside its message") from error
    return Held(rows, held_bytes)


def _messages(stream: bytes) -> Iterator[Message]:
    at, end = 0, len(stream)
    while at < end:
        if _u32.unpack_from(stream, at)[0] != _MARKER:
            raise ValueError("no message where one begins")
        size = _u32.unpack_from(stream, at + 4)[0]
        at += 8
        if not size:
            if at != end:
                raise ValueError("bytes after its end")
            return
        if at == 8 and size > SCHEMA_BYTES_MAX:
            raise ValueError(f"a schema of {size} bytes, expected at most {SCHEMA_BYTES_MAX}")
        message = _message(stream, at, at + size)
        at = message.body + message.size
        if at > end:
            raise ValueError("truncated")
        yield message
    if not end:
        raise ValueError("nothing")


def _message(stream: bytes, at: int, body: int) -> Message:
    metadata = stream[at:body]
    fields = Fields(metadata, _u32.unpack_from(metadata, 0)[0])
    kind, header, size = fields.integer(1, _u8), fields.table(2), fields.integer(3, _i64)
    if header is None or kind not in (_SCHEMA, _DICTIONARY, _RECORDS) or size < 0:
        raise ValueError(f"a message of kind {kind}, expected a schema or a batch")
    return Message(kind, header, body, size)


def _batch(message: Message) -> Batch:
    header = message.header
    table = header.table(1) if message.kind == _DICTIONARY else header
    if table is None:
        raise ValueError("a dictionary without values")
    batch = Batch(table.integer(0, _i64), table.pairs(1), table.pairs(2), table.place(3) is not None)
    if message.kind == _DICTIONARY:
        batch = batch._replace(dictionary=header.integer(0, _i64), adds=header.integer(2, _u8) != 0)
    return batch


def _size(stream: bytes, message: Message, batch: Batch) -> int:
    """Bytes of the buffers, unpacked."""
    if batch.length < 0 or any(node != batch.length for node, _ in batch.nodes.read()):
        raise ValueError("columns of different lengths in a batch, expected flat columns")
    size = 0
    for offset, stored in batch.buffers.read():
        if offset < 0 or stored < 0 or offset + stored > message.size:
            raise ValueError("a buffer outside its message")
        packed = batch.compressed and stored
        told = _i64.unpack_from(stream, message.body + offset)[0] if packed else _NOT_COMPRESSED
        if told < _NOT_COMPRESSED:
            raise ValueError(f"a compressed buffer of {told} bytes")
        size += stored if told == _NOT_COMPRESSED else told
    return size
