"""Which column of the training data lies in which tensor of the graph?

Laws
- Every column lies in exactly one place and every place is filled, or the binding is refused with the first odd one.
- Names decide where there are names: the graph's own list (`plumbline.columns` in its metadata), else inputs of one column.
  Only matrices without names are filled by kind, in the order of the file.
"""

import json
from collections.abc import Mapping, Sequence

import msgspec

from models.contract import Kind
from models.errors import ContractInvalid
from models.session import GraphTensor

COLUMNS_KEY = "plumbline.columns"  # metadata_props: JSON {tensor: [columns]}, written by whoever exports the graph

Binding = Mapping[str, tuple[str, ...]]
_FITS: Mapping[Kind, tuple[str, ...]] = {  # where a column of this kind goes, the closest fit first
    Kind.STRING: ("BYTES",),
    Kind.BOOL: ("BOOL", "INT", "FP"),
    Kind.INT: ("INT", "FP"),
    Kind.FLOAT: ("FP",),
}


def bind(inputs: Sequence[GraphTensor], metadata: Mapping[str, str], columns: Mapping[str, Kind]) -> Binding:
    """Column names by tensor name; `columns` in file order. Raises ContractInvalid with the place.

    A column of whole numbers that has nulls counts as `Kind.FLOAT`: only a floating point tensor can take its nulls.
    """
    for tensor in inputs:
        if width(tensor) is None:
            raise ContractInvalid(
                f"input {tensor.name!r}",
                f"shape {list(tensor.shape)}",
                "[N], [N, 1] or [N, k]; add other graphs without --data",
            )
    binding = _by_metadata(inputs, metadata) if COLUMNS_KEY in metadata else _by_input_name(inputs, columns)
    for place, names in binding.items():
        if missing := [name for name in names if name not in columns]:
            raise ContractInvalid("training data", f"no column {missing[0]!r}", f"one for input {place!r}")
    if matrices := [tensor for tensor in inputs if tensor.name not in binding]:
        binding |= _by_kind(matrices, _left(columns, binding))
    if left := _left(columns, binding):
        raise ContractInvalid(
            f"training data, column {next(iter(left))!r}",
            "no input that takes it",
            "only the model's columns, the label (--label) and the time (--time)",
        )
    return {tensor.name: binding[tensor.name] for tensor in inputs}


def width(tensor: GraphTensor) -> int | None:
    """Columns that a tensor takes: -1 for any number, None for a tensor that is no table of rows."""
    match tensor.shape:
        case (_,):
            return 1
        case (_, k):
            return k
        case _:
            return None


def _by_metadata(inputs: Sequence[GraphTensor], metadata: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    where = f"metadata {COLUMNS_KEY!r} of the graph"
    try:
        listed = msgspec.convert(json.loads(metadata[COLUMNS_KEY]), dict[str, tuple[str, ...]])
    except ValueError as error:
        raise ContractInvalid(where, str(error), "JSON {tensor: [columns]}") from error
    if odd := sorted(set(listed) ^ {tensor.name for tensor in inputs}):
        raise ContractInvalid(where, f"tensor {odd[0]!r} only on one side", "the graph's inputs, each once")
    for tensor in inputs:
        if width(tensor) not in (-1, len(listed[tensor.name])):
            raise ContractInvalid(
                where, f"{len(listed[tensor.name])} columns", f"{width(tensor)} for tensor {tensor.name!r}"
            )
    return listed


def _by_input_name(inputs: Sequence[GraphTensor], columns: Mapping[str, Kind]) -> dict[str, tuple[str, ...]]:
    """Inputs of one column by their names. One that no column is called after is a narrow matrix (`X`, `categorical`)
    where it stands alone or beside wider ones; where every input is one column, its column is missing."""
    single = [tensor.name for tensor in inputs if width(tensor) == 1]
    if len(single) == len(inputs) > 1:
        return {name: (name,) for name in single}
    return {name: (name,) for name in single if name in columns}


def _by_kind(matrices: Sequence[GraphTensor], columns: Mapping[str, Kind]) -> dict[str, tuple[str, ...]]:
    queues: dict[str, list[str]] = {_family(tensor): [] for tensor in matrices}
    for name, kind in columns.items():
        family = next((family for family in _FITS[kind] if family in queues), None)
        if family is None:
            raise ContractInvalid(
                f"training data, column {name!r}",
                f"kind {kind.value} that no input takes",
                "columns of the kinds of the inputs",
            )
        queues[family].append(name)
    return {tensor.name: _taken(tensor, queues[_family(tensor)], matrices) for tensor in matrices}


def _taken(tensor: GraphTensor, queue: list[str], matrices: Sequence[GraphTensor]) -> tuple[str, ...]:
    """The next columns of the queue, which shrinks."""
    wanted = width(tensor)
    if wanted == -1:
        rivals = [other.name for other in matrices if _family(other) == _family(tensor)]
        if len(rivals) > 1:
            raise ContractInvalid(
                f"inputs {rivals}", "a free width beside another", f"widths, or names under {COLUMNS_KEY!r}"
            )
        wanted = len(queue)
    if wanted is None or len(queue) < wanted or wanted == 0:
        raise ContractInvalid("training data", f"{len(queue)} columns for input {tensor.name!r}", f"{wanted or 'some'}")
    taken = tuple(queue[:wanted])
    del queue[:wanted]
    return taken


def _left(columns: Mapping[str, Kind], binding: Binding) -> dict[str, Kind]:
    placed = {name for names in binding.values() for name in names}
    return {name: kind for name, kind in columns.items() if name not in placed}


def _family(tensor: GraphTensor) -> str:
    if tensor.datatype in ("BYTES", "BOOL"):
        return tensor.datatype
    return "FP" if tensor.datatype.startswith("FP") else "INT"
