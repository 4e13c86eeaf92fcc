"""What a record says, and its bytes (FORMAT.md §4, §5).

Law: decode(encode(r)) == r for every record, also with NaN, ±inf, null and any text; unknown trailing fields are
ignored.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from models.contract import Kind, Privacy
from models.errors import UNDECODABLE
from service.featurelog.errors import RecordInvalid

FORMAT = 1
CELL_BYTES, NARROW_CELL_BYTES = 8, 4  # narrow: numbers that the client sent as FP32 or FP16, without a loss
MODEL_NAME_CHARS_MAX = 64  # a name that is not ours is the client's text: bounded before it is written


class Outcome(StrEnum):
    """How a request ended; the four words of the ledger."""

    ANSWERED = "answered"
    REJECTED = "rejected"
    SHED = "shed"
    FAILED = "failed"


class SkewKind(StrEnum):
    """What can be wrong with a column of a rejected request."""

    ABSENT = "absent"
    UNKNOWN = "unknown"
    WRONG_TYPE = "wrong_type"
    NULL = "null"
    NAN = "nan"
    SHAPE = "shape"


class Block(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """n rows as a matrix of cells (FORMAT.md §4)."""

    n: int
    cells: bytes
    nulls: bytes | None = None
    text: list[tuple[int, int, str]] | None = None

    def narrow(self, kinds: Sequence[Kind]) -> bool:
        """Are the cells f32, by their length? Only floats are ever narrow; `kinds` of the columns."""
        size = self.n * len(kinds) * NARROW_CELL_BYTES
        return size > 0 and len(self.cells) == size and all(kind is Kind.FLOAT for kind in kinds)


class Problem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One kind of fault in one column, and in how many rows of the request."""

    kind: SkewKind
    column: str
    rows: int


class TensorNote(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A plain tensor, known by its hash and two moments instead of by value."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    sha256: str
    mean: float | None
    std: float | None


class SchemaColumn(msgspec.Struct, frozen=True, array_like=True):
    """A column of a Block: its name, what its cells hold, and the texts that codes stand for."""

    name: str
    kind: Kind
    categories: tuple[str, ...] | None = None


class Head(msgspec.Struct, frozen=True, array_like=True, tag="head"):
    format: int
    writer: str
    epoch: int
    number: int
    created_us: int


class Again(Head, frozen=True, array_like=True, tag="again"):
    """The HEAD of a segment that stands in place of what earlier ones hold from its seq on (FORMAT.md §2)."""


class _OpenSchema(msgspec.Struct, frozen=True, array_like=True, tag="schema"):
    """A Schema of which nothing is private, as it is written."""

    id: int
    model: str
    version: str
    digest: str
    features: tuple[SchemaColumn, ...]
    outputs: tuple[SchemaColumn, ...]


class Schema(_OpenSchema, frozen=True, array_like=True, tag="schema"):
    private: Mapping[str, Privacy] | None = None


class Request(msgspec.Struct, frozen=True, array_like=True, tag="request", gc=False):
    """One request that reached the data plane; durations in µs, `at_us` since the Unix epoch."""

    at_us: int
    request_id: str
    outcome: Outcome
    status: int
    code: str
    protocol: str
    schema: int
    model: str
    arm: str
    bucket: int
    generation: int
    rows: int
    queue_us: int
    compute_us: int
    total_us: int
    features: Block | None = None
    outputs: Block | None = None
    problems: list[Problem] | None = None
    tensors: list[TensorNote] | None = None


class Shadow(msgspec.Struct, frozen=True, array_like=True, tag="shadow", gc=False):
    """What a shadow version said to a request that another version answered."""

    at_us: int
    request_id: str
    schema: int
    outcome: Outcome
    code: str
    rows: int
    compute_us: int
    outputs: Block | None = None


class PartRequest(Request, frozen=True, array_like=True, tag="part", gc=False):
    """A request of which some rows were erased (FORMAT.md §8); the blocks hold the others."""

    erased: tuple[int, ...] = ()
    pad: bytes | None = None


class PartShadow(Shadow, frozen=True, array_like=True, tag="spart", gc=False):
    """A shadow's answer of which some rows were erased."""

    erased: tuple[int, ...] = ()
    pad: bytes | None = None


class Erased(msgspec.Struct, frozen=True, array_like=True, tag="erased", gc=False):
    """What stands in the place of a record that was erased whole; `outcome` is "" unless it was a request's."""

    at_us: int
    outcome: str
    rows: int
    pad: bytes | None = None


class Feedback(msgspec.Struct, frozen=True, array_like=True, tag="feedback", gc=False):
    """A label that became known later; `label` null means the outcome is known to be unknowable."""

    at_us: int
    request_id: str
    row: int
    label: float | int | str | bool | None
    observed_us: int


class Ledger(msgspec.Struct, frozen=True, array_like=True, tag="ledger"):
    """The writer's account since its epoch began (FORMAT.md §5.5)."""

    at_us: int
    received: int
    outcomes: Mapping[str, int]
    logged: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]


class Seal(msgspec.Struct, frozen=True, array_like=True, tag="seal"):
    records: int
    last_seq: int


Record = Request | Shadow | Feedback | Ledger | Erased
Payload = Head | Again | Schema | Request | PartRequest | Shadow | PartShadow | Feedback | Ledger | Erased | Seal

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Payload] = msgspec.msgpack.Decoder(Payload)


def encode(payload: Payload) -> bytes:
    """The MessagePack bytes of a payload."""
    if payload.__class__ is Schema and payload.private is None:
        return _encoder.encode(_OpenSchema(*(getattr(payload, name) for name in _OpenSchema.__struct_fields__)))
    return _encoder.encode(payload)


def row_numbers(record: Request | Shadow, n: int) -> Sequence[int]:
    """The numbers that the n rows of the record's blocks have in the request: 0, 1, … without those that were erased."""
    if not isinstance(record, PartRequest | PartShadow):
        return range(n)
    gone = set(record.erased)
    return [number for number in range(n + len(gone)) if number not in gone]


def decode(data: bytes | memoryview) -> Payload:
    """Raises RecordInvalid when the bytes are no payload of this format."""
    try:
        return _decoder.decode(data)
    except UNDECODABLE as error:
        raise RecordInvalid(str(error)) from error
