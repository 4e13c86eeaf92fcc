"""TF Serving V1 in columns: what does `"inputs"` hold, as rows of the contract? And what do rows by the names of tensors?

`"inputs"`: an object by feature name (values as [n] or [n, 1]), an object by the names of the graph's tensors, or, where the
graph has one tensor, that tensor itself (rows as lists).
"""

from typing import Any, NamedTuple

from models.contract import Tensor
from service.errors import Fault, InvalidInput, TooManyRows
from service.featurelog.record import Problem, SkewKind
from service.http.wire import ROWS_MAX
from service.rows import Table
from service.served import ServedVersion
from service.validation import examine, kind_of

_COLUMNS = "expected an object of columns by the name of a feature or a tensor"


class Given(NamedTuple):
    """The values of one feature; the place of row r in the client's body is `{before}/{r}{after}`."""

    values: list[Any]
    before: str
    after: str = ""


def pointer(name: str) -> str:
    """A name as a step of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def table_of(version: ServedVersion, inputs: Any, max_rows: int = ROWS_MAX) -> Table:
    """Raises TooManyRows, InvalidInput with every fault."""
    columns = _columns(version, inputs)
    rows = max((len(column.values) for column in columns.values()), default=0)
    if rows > max_rows:
        raise TooManyRows(rows, max_rows)
    return _table(version, columns, "/inputs")


def by_tensor(version: ServedVersion, instances: list[Any]) -> bool:
    """Is every row an object by the names of the graph's tensors, and these are not those of the features?"""
    names = {tensor.name for tensor in version.contract.inputs}
    if names == {column.name for column in version.contract.features}:
        return False
    return bool(instances) and all(isinstance(one, dict) and one.keys() == names for one in instances)


def table_by_tensor(version: ServedVersion, instances: list[Any]) -> Table:
    """Of rows for which `by_tensor` holds. Raises InvalidInput with every fault."""
    columns: dict[str, Given] = {}
    for tensor in version.contract.inputs:
        width, step = len(tensor.columns), pointer(tensor.name)
        cells = [one[tensor.name] for one in instances]
        if width == 1:
            columns[tensor.columns[0]] = Given(_narrow(cells), "/instances", f"/{step}")
            continue
        for number, row in enumerate(cells):
            if not isinstance(row, list) or len(row) != width:
                at = f"/instances/{number}/{step}"
                raise _misshaped(version, at, f"expected a row of {width} values", len(instances))
        for i, name in enumerate(tensor.columns):
            columns[name] = Given([row[i] for row in cells], "/instances", f"/{step}/{i}")
    return _table(version, columns, "/instances")


def _table(version: ServedVersion, columns: dict[str, Given], at: str) -> Table:
    contract = version.contract
    sizes = sorted({len(column.values) for column in columns.values()})
    if len(sizes) > 1:
        raise _misshaped(version, at, f"ragged: {sizes[:4]} rows, expected one number", sizes[-1])
    lists = [column.values for column in columns.values()]
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*lists, strict=True)]

    def place(row: int, name: str) -> str:
        column = columns.get(name)
        if column is None:  # missing: where it should be
            return f"{at}/{pointer(name)}" if name else f"{at}/{row}"
        return f"{column.before}/{row}{column.after}"

    examined = examine(contract, rows, place)
    if examined.faults:
        raise InvalidInput(version.pin.ref, examined.faults, examined.problems, len(rows))
    return Table(examined.rows)


def _columns(version: ServedVersion, inputs: Any) -> dict[str, Given]:
    tensors = {tensor.name: tensor for tensor in version.contract.inputs}
    if isinstance(inputs, list) and len(tensors) == 1:
        return _of_tensor(version, version.contract.inputs[0], inputs, "/inputs")
    if not isinstance(inputs, dict):
        raise _misshaped(version, "/inputs", f"found {kind_of(inputs)}, {_COLUMNS}", 0)
    if inputs.keys() == tensors.keys() and inputs.keys() != {column.name for column in version.contract.features}:
        columns: dict[str, Given] = {}
        for name, given in inputs.items():
            columns |= _of_tensor(version, tensors[name], given, f"/inputs/{pointer(name)}")
        return columns
    for name, given in inputs.items():
        if not isinstance(given, list):
            raise _misshaped(
                version, f"/inputs/{pointer(name[:64])}", f"found {kind_of(given)}, expected a list of values", 0
            )
    return {name: Given(_narrow(given), f"/inputs/{pointer(name)}") for name, given in inputs.items()}


def _of_tensor(version: ServedVersion, tensor: Tensor, given: Any, at: str) -> dict[str, Given]:
    width = len(tensor.columns)
    if not isinstance(given, list):
        expected = "a list of values" if width == 1 else "a list of rows"
        raise _misshaped(version, at, f"found {kind_of(given)}, expected {expected}", 0)
    if width == 1:
        return {tensor.columns[0]: Given(_narrow(given), at)}
    for number, row in enumerate(given):
        if not isinstance(row, list) or len(row) != width:
            found = f"{len(row)} values" if isinstance(row, list) else kind_of(row)
            raise _misshaped(version, f"{at}/{number}", f"found {found}, expected a row of {width} values", len(given))
    return {name: Given([row[i] for row in given], at, f"/{i}") for i, name in enumerate(tensor.columns)}


def _narrow(given: list[Any]) -> list[Any]:
    """[n, 1] as [n]."""
    return [cell[0] if isinstance(cell, list) and len(cell) == 1 else cell for cell in given]


def _misshaped(version: ServedVersion, at: str, problem: str, rows: int) -> InvalidInput:
    return InvalidInput(version.pin.ref, [Fault(at, problem)], [Problem(SkewKind.SHAPE, "", max(1, rows))], rows)
