"""Arrow IPC streams: a table of features in, a table of outputs out; on the routes of V1 and V2 where the headers say so.

A column has the name of a feature, in any order; strings may be dictionary-encoded; there may be several record batches. A
null is what JSON's null is. An output is a column by the name of its tensor: of values for [n] and [n, 1], of lists of fixed
size for [n, k, …]; a NaN stays one.

Laws
- `max_rows` and `max_bytes` (of the buffers unpacked, and of the texts that a dictionary stands for) are checked before they
  are spent.
- No stream, however damaged, raises anything but a RequestError: it is walked by `arrow_frames`, validated whole, then read.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from models.tensors import Array
from service.errors import (
    BodyTooLarge,
    Fault,
    InvalidInput,
    MalformedBody,
    RuntimeFailed,
    TooManyRows,
    UnsupportedEncoding,
)
from service.featurelog.record import Problem, SkewKind
from service.http.answer import ARROW, Answer, Headers
from service.http.arrow_columns import columns_of, misfit, validate
from service.http.arrow_frames import held
from service.http.v1_columns import pointer
from service.http.wire import Decoded
from service.rows import Inputs, Matrix, Row, Table
from service.served import ServedVersion
from service.validation import examine

_EXPECTED = "one whole Arrow IPC stream"
_READING = pa.ipc.IpcReadOptions(use_threads=False)  # columns are few, and the other cores have workers of their own
_TYPES: Mapping[str, pa.DataType] = {
    "FP16": pa.float16(), "FP32": pa.float32(), "FP64": pa.float64(), "BOOL": pa.bool_(), "BYTES": pa.large_string(),
    "INT8": pa.int8(), "INT16": pa.int16(), "INT32": pa.int32(), "INT64": pa.int64(),
    "UINT8": pa.uint8(), "UINT16": pa.uint16(), "UINT32": pa.uint32(), "UINT64": pa.uint64(),
}  # fmt: skip


class Arrow:
    """The wire; rows are validated by column, and by `examine` only when that finds something."""

    name = "arrow"

    def __init__(self, *, max_rows: int, max_bytes: int) -> None:
        self._max_rows, self._max_bytes = max_rows, max_bytes

    def compile(self, version: ServedVersion) -> None:
        """Nothing is precomputed."""

    def decode(self, version: ServedVersion, body: bytes, headers: Headers = ()) -> Decoded:
        """Raises MalformedBody, TooManyRows, BodyTooLarge, UnsupportedEncoding, InvalidInput with every fault."""
        contract = version.contract
        if not contract.tabular:
            raise UnsupportedEncoding(ARROW.decode(), f"JSON or binary data: {version.pin.ref} has no columns")
        rows = self._weighed(body)
        with _reading(), pa.ipc.open_stream(body, options=_READING) as reader:
            _check_schema(version, reader.schema, rows)
            table = reader.read_all()
            validate(table)
            return Decoded(_inputs(version, table, self._max_bytes))

    def _weighed(self, body: bytes) -> int:
        """The rows that the stream says it has."""
        try:
            rows, size = held(body)
        except ValueError as error:
            raise MalformedBody(str(error), _EXPECTED) from error
        if rows > self._max_rows:
            raise TooManyRows(rows, self._max_rows)
        if size > self._max_bytes:
            raise BodyTooLarge(self._max_bytes)
        return rows

    def encode(
        self,
        version: ServedVersion,
        outputs: Sequence[Array],
        decoded: Decoded,
        request_id: str,
        headers: Headers = (),
    ) -> Answer:
        """One record batch. Raises RuntimeFailed where an output has no rows."""
        wanted = decoded.echo.get("outputs")
        columns: dict[str, pa.Array] = {}
        for tensor, array in zip(version.contract.outputs, outputs, strict=True):
            if not array.shape or len(array) != decoded.inputs.n:
                raise RuntimeFailed(
                    version.pin.ref, f"output {tensor.name!r} is not an answer a row; ask for JSON by /v2"
                )
            columns[tensor.name] = _column(array, _TYPES[tensor.datatype])
        chosen = {name: columns[name] for name in wanted} if wanted else columns
        batch = pa.record_batch(list(chosen.values()), names=list(chosen))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return Answer(200, sink.getvalue().to_pybytes(), headers, ARROW)


@contextmanager
def _reading() -> Iterator[None]:
    """What pyarrow finds wrong with a stream is the client's to mend."""
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:  # ValueError: names that are not UTF-8, too
        found = (str(error).strip().splitlines() or ["damaged"])[0]
        raise MalformedBody(f"not readable: {found[:200]}", _EXPECTED) from error


def _check_schema(version: ServedVersion, schema: pa.Schema, rows: int) -> None:
    """Names and types, before any batch is read. Raises InvalidInput."""
    features = {column.name: column for column in version.contract.features}
    faults: list[Fault] = []
    problems: dict[tuple[SkewKind, str], Problem] = {}

    def note(kind: SkewKind, name: str, at: str, problem: str) -> None:
        faults.append(Fault(at, problem))
        problems.setdefault((kind, name), Problem(kind, name, max(1, rows)))

    seen: set[str] = set()
    for name, found in zip(schema.names, schema.types, strict=True):
        column, at = features.get(name), f"/{pointer(name[:64])}"
        if column is None:
            note(SkewKind.UNKNOWN, "", at, "unknown feature")
        elif name in seen:
            note(SkewKind.SHAPE, name, at, "this column twice")
        elif (expected := misfit(column, found)) is not None:
            note(SkewKind.WRONG_TYPE, name, at, f"found {str(found)[:64]}, expected {expected}")
        seen.add(name)
    for name in features:
        if name not in seen:
            note(SkewKind.ABSENT, name, f"/{pointer(name)}", "missing column")
    if faults:
        raise InvalidInput(version.pin.ref, faults, list(problems.values()), rows)


def _inputs(version: ServedVersion, table: pa.Table, max_bytes: int) -> Inputs:
    contract = version.contract
    columns = columns_of(contract, table, max_bytes)
    if isinstance(columns, Matrix):
        return columns
    rows: list[Row] = list(zip(*(values for values, _ in columns), strict=True))
    if rows and all(sound for _, sound in columns):
        return Table(rows)
    examined = examine(contract, rows, _place)
    if examined.faults:
        raise InvalidInput(version.pin.ref, examined.faults, examined.problems, len(rows))
    return Table(examined.rows)


def _place(row: int, name: str) -> str:
    return f"/{pointer(name)}/{row}" if name else "/"


def _column(array: Array, datatype: pa.DataType) -> pa.Array:
    """One output; the sizes after the batch become lists of fixed size, a size of 1 alone none."""
    sizes, values = array.shape[1:], array.ravel()
    column = pa.Array.from_buffers(datatype, len(values), [None, *map(pa.py_buffer, _buffers(values))])
    for size in reversed(sizes if sizes != (1,) else ()):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column


def _buffers(values: Array) -> list[Array | bytes]:
    """By hand, because `pa.array` imports pandas: two seconds in which nobody would be answered."""
    if values.dtype == object:
        texts = [text.encode() for text in values.tolist()]
        offsets: Array = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        return [offsets, b"".join(texts)]
    return [np.packbits(values, bitorder="little") if values.dtype == np.bool_ else np.ascontiguousarray(values)]
