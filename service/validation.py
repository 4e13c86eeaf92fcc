"""What is wrong with a request's rows, by place and by column; the slow path that explains what the fast decode refused.

Laws
- `examine` returns either typed rows or at least one fault: never both, never neither.
- It sees every row, names the first FAULTS_MAX faults to the client, and counts for the log in how many rows each occurs.
- A value is never changed, but for an integral float in an int column (JavaScript and pandas write 3.0) and an int in a
  float column.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from math import isnan

from models.contract import Column, Contract, Kind
from service.errors import FAULTS_MAX, Fault
from service.featurelog.record import Problem, SkewKind
from service.rows import INT_HIGH, INT_LOW, STRING_CHARS_MAX, Row, int_bounds

_EXPECTED = {Kind.FLOAT: "a number", Kind.INT: "an integer", Kind.BOOL: "true or false", Kind.STRING: "a string"}

NAMES_SHOWN_MAX = 8  # a contract may have thousands; these say what they look like

Place = Callable[[int, str], str]


class Examination:
    """Collects typed rows and faults of one request."""

    def __init__(self, contract: Contract, at: Place) -> None:
        self._columns = contract.features
        self._expected = _expectations(contract)
        self._bounds = int_bounds(contract)
        self._at = at
        self._counts: Counter[tuple[SkewKind, str]] = Counter()
        self._of_row: set[tuple[SkewKind, str]] = set()
        self.faults: list[Fault] = []
        self.rows: list[Row] = []

    @property
    def problems(self) -> list[Problem]:
        """All faults by kind and column, and in how many rows."""
        return [Problem(kind, column, rows) for (kind, column), rows in sorted(self._counts.items())]

    def fault(self, kind: SkewKind, column: str, at: str, problem: str) -> None:
        """One more fault; only names of the contract reach the log."""
        counted = (kind, column if column in self._expected else "")
        if counted not in self._of_row:
            self._of_row.add(counted)
            self._counts[counted] += 1
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(Fault(at, problem))

    def row(self, number: int, given: object) -> None:
        """One row, an object by feature name or a list in contract order."""
        self._of_row.clear()
        if isinstance(given, Mapping):
            self._object(number, given)
        elif isinstance(given, Sequence) and not isinstance(given, str | bytes):
            self._list(number, given)
        else:
            self.fault(
                SkewKind.SHAPE, "", self._at(number, ""), f"found {kind_of(given)}, expected an object or a list"
            )

    def _object(self, number: int, given: Mapping[str, object]) -> None:
        for name in islice(given, len(self._columns) + FAULTS_MAX):  # so many names that some are unknown, if more are
            if name not in self._expected:
                self.fault(SkewKind.UNKNOWN, "", self._at(number, str(name)[:64]), self._unknown())
        cells = []
        for column in self._columns:
            if column.name in given:
                cells.append(self._cell(number, column, given[column.name]))
            else:
                problem = f"missing, expected {self._expected[column.name]}"
                self.fault(SkewKind.ABSENT, column.name, self._at(number, column.name), problem)
        if len(cells) == len(self._columns):
            self.rows.append(tuple(cells))

    def _unknown(self) -> str:
        names = list(self._expected)
        more = f" or {len(names) - NAMES_SHOWN_MAX} others" if len(names) > NAMES_SHOWN_MAX else ""
        return f"unknown feature, expected {', '.join(names[:NAMES_SHOWN_MAX])}{more}"

    def _list(self, number: int, given: Sequence[object]) -> None:
        if len(given) != len(self._columns):
            expected = f"{len(self._columns)} in the contract's order"
            self.fault(SkewKind.SHAPE, "", self._at(number, ""), f"{len(given)} values, expected {expected}")
            return
        self.rows.append(tuple(self._cell(number, c, v) for c, v in zip(self._columns, given, strict=True)))

    def _cell(self, number: int, column: Column, value: object) -> object:
        """The typed value, or a fault and None."""
        if value is None:
            if not column.nullable:
                problem = f"null, expected {self._expected[column.name]} (not nullable)"
                self.fault(SkewKind.NULL, column.name, self._at(number, column.name), problem)
            return None
        typed = _typed(column.kind, value, self._bounds.get(column.name, (INT_LOW, INT_HIGH)))
        if typed is None:
            problem = f"found {kind_of(value)}, expected {self._expected[column.name]}"
            if column.kind is Kind.INT and _integral(value):
                problem = self._out_of_range(column.name)
            self.fault(SkewKind.WRONG_TYPE, column.name, self._at(number, column.name), problem)
        elif isinstance(typed, float) and isnan(typed):
            self.fault(
                SkewKind.NAN, column.name, self._at(number, column.name), "NaN, expected a number; send null for none"
            )
        return typed

    def _out_of_range(self, column: str) -> str:
        low, high = self._bounds.get(column, (INT_LOW, INT_HIGH))
        return f"found an integer out of range, expected {_EXPECTED[Kind.INT]} from {low} to {high}"


def examine(contract: Contract, rows: Sequence[object], at: Place) -> Examination:
    """Every row against the contract; `at(row, column)` names a place in the client's own body."""
    examination = Examination(contract, at)
    if not rows:
        examination.fault(SkewKind.SHAPE, "", at(0, "").removesuffix("/0"), "no rows, expected at least one")
    for number, given in enumerate(rows):
        examination.row(number, given)
    return examination


def _expectations(contract: Contract) -> dict[str, str]:
    bounds = int_bounds(contract)
    expected = {}
    for column in contract.features:
        low, high = bounds.get(column.name, (INT_LOW, INT_HIGH))
        narrow = f" from {low} to {high}" if (low, high) != (INT_LOW, INT_HIGH) else ""
        expected[column.name] = f"{_EXPECTED[column.kind]}{narrow}{' or null' if column.nullable else ''}"
    return expected


def _typed(kind: Kind, value: object, bounds: tuple[int, int]) -> object | None:
    low, high = bounds
    match kind:
        case Kind.FLOAT if isinstance(value, float | int) and not isinstance(value, bool):
            return _float(value)
        case Kind.INT if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        case Kind.INT if isinstance(value, float) and value.is_integer() and low <= int(value) <= high:
            return int(value)
        case Kind.BOOL if isinstance(value, bool):
            return value
        case Kind.STRING if isinstance(value, str) and len(value) <= STRING_CHARS_MAX:
            return value
    return None


def _integral(value: object) -> bool:
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _float(value: float) -> float | None:
    try:
        return float(value)
    except OverflowError:  # an int beyond float64
        return None


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, str) and len(value) > STRING_CHARS_MAX:
        return f"{len(value)} characters, at most {STRING_CHARS_MAX}"
    words = {bool: "a boolean", str: "a string", float: "a number", int: "an integer", type(None): "null"}
    return words.get(type(value), "a list" if isinstance(value, Sequence) else "another type")
