"""Makes the first request as fast as the thousandth: decodes, runs and encodes on every version before readiness.

The first requests of a cold worker stall for about 0.9 s while imports and buffers are touched.
"""

from typing import Any

import msgspec
import numpy as np

from models.contract import Column, Kind
from models.errors import ModelError
from models.tensors import DTYPES
from service.catalogue import Snapshot
from service.errors import RequestError
from service.http.wire import Decoded, Wire
from service.in_flight import LOOP, Cells, begin, end
from service.rows import Inputs, PlainTensors, Table
from service.served import ServedVersion

RUNS = 50


def warm_up(snapshot: Snapshot, wire: Wire, cells: Cells) -> None:
    """Every loaded version RUNS times; nothing is logged and nothing is counted. `cells`: where it is told what runs."""
    for version in snapshot.versions.values():
        begin(cells, LOOP, version.mark)
        try:
            for _ in range(RUNS):
                _warm_version(version, wire)
        except (ModelError, RequestError):
            continue  # a graph may refuse invented values; its first real request then warms it
        finally:
            end(cells, LOOP)


def _warm_version(version: ServedVersion, wire: Wire) -> None:
    inputs = _sample(version)
    if isinstance(inputs, Table):
        names = [column.name for column in version.contract.features]
        rows = [dict(zip(names, row, strict=True)) for row in inputs.rows]
        inputs = wire.decode(version, msgspec.json.encode({"instances": rows})).inputs
        version.blocks.block(inputs.rows if isinstance(inputs, Table) else [])
    outputs = version.session.run(version.tensors(inputs))
    version.outputs.block(outputs, inputs.n)
    wire.encode(version, outputs, Decoded(inputs), "warm-up")


def _sample(version: ServedVersion) -> Inputs:
    contract = version.contract
    if contract.tabular:
        return Table([tuple(_value(column) for column in contract.features)])
    shapes = {t.name: (tuple(1 if size < 0 else size for size in t.shape), t.datatype) for t in contract.inputs}
    return PlainTensors(
        {name: np.full(shape, "" if kind == "BYTES" else 0, DTYPES[kind]) for name, (shape, kind) in shapes.items()}
    )


def _value(column: Column) -> Any:
    match column.kind:
        case Kind.STRING:
            return column.categories[0] if column.categories else ""
        case Kind.BOOL:
            return False
        case Kind.INT:
            return int(column.low or 0)
        case Kind.FLOAT:
            return float(column.low or 0)
