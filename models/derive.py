"""What are the contract and the baseline of a graph, given the data it was trained on?

Laws
- The same graph and the same table give the same bytes.
- Features stand in the order of the tensors, left to right: a row of the contract is the graph's inputs side by side.
- What is recorded of the outputs is what the graph itself answers to the data, computed in chunks.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from models import weekly
from models.baseline import Baseline, ColumnBaseline, bin_codes, bin_numbers, matches
from models.binding import Binding, bind
from models.cells import (
    Held,
    column_in,
    held,
    output_column,
    output_held,
    reference_of,
    seconds,
    tensor_of,
)
from models.contract import Column, Contract, Kind
from models.declared import contract_of_graph, declared_tensor, output_names
from models.errors import ContractInvalid, RunFailed
from models.natural import blocks_from_shortest, tolerance
from models.session import GraphTensor, Session
from models.tensors import Array
from models.weekly import hour_of_week

CHUNK_ROWS = 4096  # rows a run: a matrix of 100 float32 columns is 1.6 MB, which stays in the cache

Blocks = Sequence[tuple[int, npt.NDArray[np.intp]]]


def derive(
    session: Session,
    ref: str,
    frame: pd.DataFrame | None,
    *,
    label: str | None = None,
    time: str | None = None,
    by_hour: bool = False,
) -> tuple[Contract, Baseline | None]:
    """Without data the graph alone speaks and there is no baseline; `by_hour`: references by hour of the week
    (models/weekly.py). Raises ContractInvalid: where, found, expected.
    """
    if frame is None:
        return contract_of_graph(session, label), None
    columns, at_s = columns_of(frame, label, time)
    binding = _bound(session, columns)
    features = tuple(column_in(columns[name], t.datatype, t.name) for t in session.inputs for name in binding[t.name])
    answers = _answers(session, ref, _inputs(session, binding, columns))
    contract = Contract(
        features=features,
        inputs=tuple(declared_tensor(tensor, binding[tensor.name]) for tensor in session.inputs),
        outputs=tuple(
            declared_tensor(tensor, tuple(cells.name for cells in answers[tensor.name])) for tensor in session.outputs
        ),
        output_columns=tuple(output_column(cells) for cells in _flat(answers)),
        label=label,
    )
    spans = [] if at_s is None else blocks_from_shortest(at_s)
    hour = hour_of_week(at_s) if by_hour and at_s is not None else None
    baseline = Baseline(
        rows=len(frame),
        features=tuple(_reference(column, columns[column.name], spans, hour) for column in contract.features),
        outputs=tuple(
            _reference(column, cells, spans, hour)
            for column, cells in zip(contract.output_columns, _flat(answers), strict=True)
        ),
    )
    matches(contract, baseline)
    return contract, baseline


def answers_to(session: Session, ref: str, columns: Mapping[str, Held]) -> dict[str, tuple[Held, ...]]:
    """What the graph answers to these columns, by output tensor. Raises ContractInvalid."""
    return _answers(session, ref, _inputs(session, _bound(session, columns), columns))


def columns_of(
    frame: pd.DataFrame, label: str | None, time: str | None
) -> tuple[dict[str, Held], npt.NDArray[np.float64] | None]:
    """The model's columns in file order and the times of the rows."""
    names = [str(name) for name in frame.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ContractInvalid("training data", f"column {twice[0]!r} twice", "every column once")
    if frame.empty:
        raise ContractInvalid("training data", f"{len(frame)} rows of {len(names)} columns", "at least one row")
    for option, name in (("--label", label), ("--time", time)):
        if name is not None and name not in names:
            raise ContractInvalid("training data", f"no column {name!r} ({option})", f"one of {', '.join(names)}")
    by_name = dict(zip(names, (frame.iloc[:, i] for i in range(len(names))), strict=True))
    at_s = None if time is None else seconds(time, by_name[time])
    return {name: held(name, series) for name, series in by_name.items() if name not in (label, time)}, at_s


def _bound(session: Session, columns: Mapping[str, Held]) -> Binding:
    return bind(session.inputs, session.metadata, {name: _kind_to_place(cells) for name, cells in columns.items()})


def _kind_to_place(cells: Held) -> Kind:
    return Kind.FLOAT if cells.kind in (Kind.INT, Kind.BOOL) and cells.null.any() else cells.kind


def _inputs(session: Session, binding: Binding, columns: Mapping[str, Held]) -> dict[str, Array]:
    return {
        tensor.name: tensor_of([columns[name] for name in binding[tensor.name]], tensor.datatype, tensor.shape)
        for tensor in session.inputs
    }


def _answers(session: Session, ref: str, inputs: Mapping[str, Array]) -> dict[str, tuple[Held, ...]]:
    """The output columns by tensor; a tensor without column meaning has none."""
    batch = session.inputs[0].shape[0]
    parts: dict[str, list[Array]] = {tensor.name: [] for tensor in session.outputs}
    for chunk, rows in _chunks(inputs, batch):
        try:
            results = session.run(chunk)
        except RunFailed as error:
            raise ContractInvalid(
                f"{ref} run on the training data", error.reason, "a graph that answers its own data"
            ) from error
        for tensor, result in zip(session.outputs, results, strict=True):
            if output_names(tensor, result.shape):
                parts[tensor.name].append(_answered(tensor, result, rows, batch))
    return {tensor.name: _held_outputs(tensor, parts[tensor.name]) for tensor in session.outputs}


def _chunks(inputs: Mapping[str, Array], batch: int) -> Iterator[tuple[dict[str, Array], int]]:
    """Slices of the inputs with their true number of rows; where the graph fixes the batch, the last row fills the last one."""
    size = CHUNK_ROWS if batch < 1 else batch
    n = len(next(iter(inputs.values())))
    for start in range(0, n, size):
        rows = min(size, n - start)
        take = np.minimum(np.arange(start, start + (rows if batch < 1 else size)), n - 1)
        yield {name: array[take] for name, array in inputs.items()}, rows


def _answered(tensor: GraphTensor, result: Array, rows: int, batch: int) -> Array:
    if len(result) != (rows if batch < 1 else batch):
        raise ContractInvalid(f"output {tensor.name!r}", f"{len(result)} answers to {rows} rows", "one a row")
    return result[:rows]


def _held_outputs(tensor: GraphTensor, parts: Sequence[Array]) -> tuple[Held, ...]:
    if not parts:
        return ()
    values = np.concatenate(parts)
    names = output_names(tensor, values.shape)
    matrix = values.reshape(len(values), len(names))
    return tuple(output_held(name, matrix[:, i], tensor.datatype) for i, name in enumerate(names))


def _reference(column: Column, cells: Held, spans: Blocks, hour: npt.NDArray[np.intp] | None) -> ColumnBaseline:
    reference, codes = reference_of(column, cells)
    index = bin_numbers(reference, cells.numbers, cells.null) if codes is None else bin_codes(codes, cells.null)
    counts = np.asarray(reference.counts)
    if hour is not None:
        left = tuple((length_s, weekly.tolerance(index, block, hour, counts.size)) for length_s, block in spans)
        table = tuple(tuple(row) for row in weekly.by_hour(index, hour, counts.size).tolist())
        return msgspec.structs.replace(reference, natural=left, by_hour=table)
    natural = tuple((length_s, tolerance(index, block, counts)) for length_s, block in spans)
    return msgspec.structs.replace(reference, natural=natural)


def _flat(answers: Mapping[str, Sequence[Held]]) -> list[Held]:
    return [cells for columns in answers.values() for cells in columns]
