"""Arrow streams as a client of pyarrow writes them, and what comes back."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from models.contract import Column, Contract, Kind, Tensor
from service.http.answer import ARROW

SENT = [(b"content-type", ARROW)]
ROWS: list[dict[str, Any]] = [
    {"amount": 1.5, "ratio": 2.5, "count": 3, "flag": True, "city": "oslo"},
    {"amount": 0.25, "ratio": 0.5, "count": -4, "flag": False, "city": "Tromsø"},
]
TYPES: Mapping[str, pa.DataType] = {
    "amount": pa.float64(), "ratio": pa.float32(), "count": pa.int64(), "flag": pa.bool_(), "city": pa.string(),
}  # fmt: skip


def table(rows: Sequence[Mapping[str, Any]] = ROWS, **types: pa.DataType) -> pa.Table:
    """Rows of `mixed`; `types` instead of the usual ones."""
    wanted = {**TYPES, **types}
    return pa.table({name: pa.array([row[name] for row in rows], wanted[name]) for name in TYPES})


def stream(given: pa.Table, *, batch: int | None = None, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, given.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(given, batch)
    return bytes(sink.getvalue().to_pybytes())


def answered(body: bytes) -> pa.Table:
    found = pa.ipc.open_stream(body).read_all()
    found.validate(full=True)
    return found


def in_batches(words: Sequence[str], numbers: Sequence[int], *, growing: bool = False) -> bytes:
    """A batch of one row for each number: of the city's word by that number; `growing`: each batch sends one word more."""
    schema = pa.schema(
        [(name, pa.dictionary(pa.int32(), pa.string()) if name == "city" else TYPES[name]) for name in TYPES]
    )
    sink, whole = pa.BufferOutputStream(), pa.array(words, pa.string())
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=growing)) as writer:
        for more, number in enumerate(numbers):
            known = pa.array([*words, *map(str, range(more))], pa.string()) if growing else whole
            city = pa.DictionaryArray.from_arrays(pa.array([number], pa.int32()), known, safe=False)
            columns = [city if name == "city" else table(ROWS[:1]).column(name).chunk(0) for name in TYPES]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    return bytes(sink.getvalue().to_pybytes())


def changed(name: str, values: list[Any], datatype: pa.DataType | None = None) -> pa.Table:
    """The usual rows with one column replaced."""
    given = table()
    return given.set_column(given.schema.names.index(name), name, pa.array(values, datatype))


def floats_contract() -> Contract:
    """Of `echo` over one FP32 matrix: two float features, one nullable."""
    return Contract(
        features=(Column(name="a", kind=Kind.FLOAT), Column(name="b", kind=Kind.FLOAT, nullable=True)),
        inputs=(Tensor(name="x", datatype="FP32", shape=(-1, 2), columns=("a", "b")),),
        outputs=(Tensor(name="x_out", datatype="FP32", shape=(-1, 2)),),
        output_columns=(),
    )
