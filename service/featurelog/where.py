"""Which rows does a clause name: a small part of SQL, read without running anything; ● no I/O.

    clause := all ("or" all)*        all := one ("and" one)*
    one    := "(" clause ")" | column op literal | column ["not"] "in" "(" literal, … ")" | column "is" ["not"] "null"
    op     := = == != <> < <= > >=   literal := 'text' with '' for ', a number, true, false
    column := a word, or "any text" in double quotes

Laws
- A clause that is not of this form is refused, with the place where it ends to be one.
- A null fulfils `is null` and nothing else; a column that the rows do not have fulfils nothing.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from service.featurelog.errors import WhereInvalid

CLAUSE_CHARS_MAX = 20_000  # some hundred identifiers in an `in`
DEPTH_MAX = 50  # of parentheses
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^']|'')*') | (?P<name>"(?:[^"]|"")+") | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
    | (?P<word>[^\W\d][\w.\[\]]*) | (?P<op><>|!=|<=|>=|==|=|<|>) | (?P<mark>[(),])
    )""",
    re.VERBOSE,
)
_KEYWORDS = {"and", "or", "in", "is", "not", "null", "true", "false"}
_SAME = {"==": "=", "<>": "!="}

Literal = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Term:
    """One column against literals; `op` is one of = != < <= > >= in, null (no literal)."""

    column: str
    op: str
    literals: tuple[Literal, ...] = ()
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Both:
    """Every part holds."""

    parts: tuple["Clause", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Some part holds."""

    parts: tuple["Clause", ...]


Clause = Term | Both | Either


def parse(text: str) -> Clause:
    """Raises WhereInvalid."""
    if len(text) > CLAUSE_CHARS_MAX:
        raise WhereInvalid(f"{len(text)} characters", f"at most {CLAUSE_CHARS_MAX}")
    return _Parser(text).whole()


def terms(clause: Clause) -> Iterator[Term]:
    """Every term of the clause, left to right."""
    if isinstance(clause, Term):
        yield clause
    else:
        for part in clause.parts:
            yield from terms(part)


def identifiers(clause: Clause) -> tuple[Literal, ...]:
    """The literals of a clause that names nothing but values, `=` and `in` joined by `or`: of those nothing may be left."""
    if _joins(clause) or any(term.op not in ("=", "in") or term.negated for term in terms(clause)):
        return ()
    return tuple(literal for term in terms(clause) for literal in term.literals)


def _joins(clause: Clause) -> bool:
    return isinstance(clause, Both) or (isinstance(clause, Either) and any(_joins(part) for part in clause.parts))


def evaluate(clause: Clause, fulfils: Callable[[Term], Any]) -> Any:
    """Joins what `fulfils` gives for each term by & and |."""
    if isinstance(clause, Term):
        return fulfils(clause)
    first, *rest = (evaluate(part, fulfils) for part in clause.parts)
    for other in rest:
        first = first & other if isinstance(clause, Both) else first | other
    return first


class _Parser:
    """One clause from left to right."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._depth = 0

    def whole(self) -> Clause:
        clause = self._either()
        if self._kind != "end":
            raise self._odd("`and`, `or` or the end")
        return clause

    @property
    def _kind(self) -> str:
        return self._tokens[self._at][0]

    @property
    def _value(self) -> str:
        return self._tokens[self._at][1]

    def _is(self, word: str) -> bool:
        return self._kind in ("word", "mark", "op") and self._value.lower() == word

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _taken(self, word: str) -> bool:
        if not self._is(word):
            return False
        self._at += 1
        return True

    def _expect(self, word: str) -> None:
        if not self._taken(word):
            raise self._odd(f"`{word}`")

    def _odd(self, expected: str) -> WhereInvalid:
        found = "the end" if self._kind == "end" else f"{self._value[:40]!r}"
        return WhereInvalid(f"{found} at character {self._tokens[self._at][2] + 1}", expected)

    def _either(self) -> Clause:
        parts = [self._both()]
        while self._taken("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Clause:
        parts = [self._one()]
        while self._taken("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _one(self) -> Clause:
        if self._is("("):
            if self._depth == DEPTH_MAX:
                raise self._odd(f"at most {DEPTH_MAX} parentheses inside each other")
            self._at, self._depth = self._at + 1, self._depth + 1
            clause = self._either()
            self._expect(")")
            self._depth -= 1
            return clause
        return self._term(self._column())

    def _column(self) -> str:
        if self._kind == "name":
            return self._take()[1:-1].replace('""', '"')
        if self._kind == "word" and self._value.lower() not in _KEYWORDS:
            return self._take()
        raise self._odd("a column or `(`")

    def _term(self, column: str) -> Term:
        if self._kind == "op":
            op = self._take()
            return Term(column, _SAME.get(op, op), (self._literal(),))
        if self._taken("is"):
            negated = self._taken("not")
            self._expect("null")
            return Term(column, "null", negated=negated)
        negated = self._taken("not")
        if self._taken("in"):
            return Term(column, "in", self._listed(), negated)
        raise self._odd("one of = != < <= > >=, `in` or `is`")

    def _listed(self) -> tuple[Literal, ...]:
        self._expect("(")
        found = [self._literal()]
        while self._taken(","):
            found.append(self._literal())
        self._expect(")")
        return tuple(found)

    def _literal(self) -> Literal:
        if self._kind == "text":
            return self._take()[1:-1].replace("''", "'")
        if self._kind == "number":
            given = self._take()
            return float(given) if any(mark in given for mark in ".eE") else int(given)
        if self._is("true") or self._is("false"):
            return self._take().lower() == "true"
        raise self._odd("a text in '…', a number, true or false")


def _tokens(text: str) -> Sequence[tuple[str, str, int]]:
    """(kind, as written, place); the last is the end."""
    found: list[tuple[str, str, int]] = []
    at = 0
    while text[at:].strip():
        token = _TOKEN.match(text, at)
        if token is None or token.lastgroup is None:
            raise WhereInvalid(f"{text[at:].strip()[:40]!r} at character {at + 1}", "a column, a literal or a sign")
        found.append((token.lastgroup, token[token.lastgroup], token.start(token.lastgroup)))
        at = token.end()
    return [*found, ("end", "", len(text))]
