"""Which rows does a declared expression mean? `amount > 1000`, `country in ['DE', 'FR'] and not returning`.

Grammar, a part of Python's, read by its own parser and never run by it:

    expression  = expression "and" expression | expression "or" expression | "not" expression | "(" expression ")"
                | comparison | a bool feature | feature "is" ["not"] "None"
    comparison  = operand (("==" | "!=" | "<" | "<=" | ">" | ">=") operand)+ | feature ["not"] "in" "[" literal, … "]"
    operand     = feature | literal
    feature     = a name, or feature("a name with blanks")

Laws
- An expression is compiled once against the features of a version; what it names wrongly is refused then, never later.
- It is bounded: CHARS_MAX characters, NODES_MAX parts.
- A comparison with a null is false, whichever it is, and so is one with NaN, except `!=`; `is None` asks for null. `not`
  turns a false one into true, as everywhere.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from models.baseline import ColumnBaseline
from models.contract import Kind
from monitoring.errors import SegmentInvalid

CHARS_MAX = 500
NODES_MAX = 100
FEATURE = "feature"

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Literal = str | float | bool


class Rows(Protocol):
    """The rows of a chunk, by the number of a feature."""

    @property
    def n(self) -> int: ...

    def null(self, feature: int) -> Mask: ...

    def numbers(self, feature: int) -> Floats: ...

    def is_any(self, feature: int, texts: frozenset[str]) -> Mask: ...


Test = Callable[[Rows], Mask]


class _Feature(NamedTuple):
    place: int
    column: ColumnBaseline


_COMPARE: Mapping[type[ast.cmpop], Callable[[Floats, Floats], Mask]] = {
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}


def compile_expression(text: str, features: Sequence[ColumnBaseline]) -> Test:
    """The test that an expression is. Raises SegmentInvalid: what was found, what was expected."""
    if len(text) > CHARS_MAX:
        raise SegmentInvalid(text[:60], f"{len(text)} characters", f"at most {CHARS_MAX}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SegmentInvalid(text, str(error).splitlines()[0], "an expression such as amount > 1000") from error
    if (nodes := sum(1 for _ in ast.walk(tree))) > NODES_MAX:
        raise SegmentInvalid(text, f"{nodes} parts", f"at most {NODES_MAX}")
    try:
        return _Compiler(text, features).test(tree)
    except OverflowError as error:
        raise SegmentInvalid(text, "a number beyond 1e308", "one that a column can hold") from error


class _Compiler:
    def __init__(self, text: str, features: Sequence[ColumnBaseline]) -> None:
        self._text = text
        self._features = {column.name: _Feature(place, column) for place, column in enumerate(features)}

    def test(self, node: ast.expr) -> Test:
        match node:
            case ast.BoolOp(op=op, values=values):
                parts = [self.test(value) for value in values]
                joined = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return lambda rows: joined.reduce([part(rows) for part in parts])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.test(operand)
                return lambda rows: ~inner(rows)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                sides = [left, *comparators]
                pairs = [self._pair(sides[i], op, sides[i + 1]) for i, op in enumerate(ops)]
                return lambda rows: np.logical_and.reduce([pair(rows) for pair in pairs])
            case ast.Name() | ast.Call():
                return self._flag(self._feature(node))
            case _:
                raise self._odd(node, "a comparison, and, or, not")

    def _flag(self, feature: _Feature) -> Test:
        if feature.column.kind is not Kind.BOOL:
            raise SegmentInvalid(
                self._text, f"{feature.column.name!r} alone", "a comparison: only a bool stands for itself"
            )
        place = feature.place
        return lambda rows: (rows.numbers(place) != 0) & ~rows.null(place)

    def _pair(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Test:
        match op:
            case ast.Is() | ast.IsNot():
                return self._null(left, right, isinstance(op, ast.Is))
            case ast.In() | ast.NotIn():
                return self._among(self._feature(left), self._literals(right), isinstance(op, ast.In))
            case _:
                return self._compared(left, op, right)

    def _null(self, left: ast.expr, right: ast.expr, wanted: bool) -> Test:
        if not (isinstance(right, ast.Constant) and right.value is None):
            raise self._odd(right, "None after `is`")
        place = self._feature(left).place
        return lambda rows: rows.null(place) == wanted

    def _among(self, feature: _Feature, literals: Sequence[Literal], wanted: bool) -> Test:
        place = feature.place
        if feature.column.kind is Kind.STRING:
            texts = self._texts(feature, literals)
            return lambda rows: (rows.is_any(place, texts) == wanted) & ~rows.null(place)
        numbers = np.array([self._number(feature, literal) for literal in literals])
        return lambda rows: (np.isin(rows.numbers(place), numbers) == wanted) & ~rows.null(place)

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Test:
        sides = (left, right)
        features = [self._feature(side) for side in sides if not self._is_literal(side)]
        if not features:
            raise self._odd(left, "a feature on one side")
        if any(feature.column.kind is Kind.STRING for feature in features):
            if len(features) > 1 or not isinstance(op, ast.Eq | ast.NotEq):
                raise SegmentInvalid(self._text, "an order or two columns of text", "==, != or in with texts")
            (literal,) = [self._literal(side) for side in sides if self._is_literal(side)]
            return self._among(features[0], [literal], isinstance(op, ast.Eq))
        return self._ordered([self._operand(side, features) for side in sides], _COMPARE[type(op)], features)

    def _ordered(
        self, sides: Sequence[int | float], compare: Callable[[Floats, Floats], Mask], features: Sequence[_Feature]
    ) -> Test:
        """Sides: the place of a feature, or a number; a whole number is told apart by its type."""

        def test(rows: Rows) -> Mask:
            left, right = (
                rows.numbers(side) if isinstance(side, int) else np.full(rows.n, side, dtype=np.float64)
                for side in sides
            )
            known = compare(left, right)
            for feature in features:
                known = known & ~rows.null(feature.place)
            return known

        return test

    def _operand(self, node: ast.expr, features: Sequence[_Feature]) -> int | float:
        return self._number(features[0], self._literal(node)) if self._is_literal(node) else self._feature(node).place

    def _feature(self, node: ast.expr) -> _Feature:
        match node:
            case ast.Name(id=name):
                pass
            case ast.Call(func=ast.Name(id="feature"), args=[ast.Constant(value=str(name))], keywords=[]):
                pass
            case _:
                raise self._odd(node, "the name of a feature")
        if name not in self._features:
            known = ", ".join(sorted(self._features)[:20]) or "none"
            raise SegmentInvalid(self._text, f"{name!r}, which is no feature", f"one of {known}")
        return self._features[name]

    def _literals(self, node: ast.expr) -> list[Literal]:
        if not isinstance(node, ast.List | ast.Tuple) or not node.elts:
            raise self._odd(node, "a list of literals after `in`")
        return [self._literal(element) for element in node.elts]

    def _is_literal(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Constant | ast.UnaryOp)

    def _literal(self, node: ast.expr) -> Literal:
        match node:
            case ast.Constant(value=(bool() | str()) as value):
                return value
            case ast.Constant(value=(int() | float()) as value):
                return float(value)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=(int() | float()) as value)):
                return -float(value)
            case _:
                raise self._odd(node, "a text, a number, True or False")

    def _number(self, feature: _Feature, literal: Literal) -> float:
        if isinstance(literal, str):
            raise SegmentInvalid(self._text, f"{literal!r} beside {feature.column.name!r}", "a number")
        return float(literal)

    def _texts(self, feature: _Feature, literals: Sequence[Literal]) -> frozenset[str]:
        listed = feature.column.categories
        for literal in literals:
            if not isinstance(literal, str):
                raise SegmentInvalid(self._text, f"{literal!r} beside {feature.column.name!r}", "a text")
            if listed is not None and literal not in listed:
                known = ", ".join(repr(text) for text in listed[:20])
                raise SegmentInvalid(
                    self._text, f"{literal!r}, which {feature.column.name!r} never was", f"one of {known}"
                )
        return frozenset(str(literal) for literal in literals)

    def _odd(self, node: ast.expr, expected: str) -> SegmentInvalid:
        return SegmentInvalid(self._text, ast.unparse(node)[:60], expected)
