"""Which rows of Arrow columns fulfil a clause; ● no I/O.

Laws
- A literal is compared with what the log holds: of a hashed feature with its hash, of a bucketed one with its bin.
- Where a clause asks what a column cannot answer (an order of hashes, a text of a number) it is refused, not taken as false.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import eq, ge, gt, le, lt, ne
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.contract import Privacy
from service.featurelog.errors import WhereInvalid
from service.featurelog.privacy import hashed
from service.featurelog.where import Clause, Literal, Term, evaluate, terms

Mask = npt.NDArray[np.bool_]
_OPERATORS = {"=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


class Matcher:
    """A clause and the key under which its literals are hashed; remembers which of its columns it has met."""

    def __init__(self, clause: Clause, key: bytes) -> None:
        self.clause, self._key = clause, key
        self.met: set[str] = set()

    def declared(self, names: Iterable[str]) -> None:
        """Rows that have these columns were looked for, whether or not some are there."""
        folded = {name.casefold() for name in names}
        self.met |= {term.column for term in terms(self.clause) if term.column.casefold() in folded}

    def rows(self, table: pa.Table, private: Mapping[str, Privacy] | None, **constants: str) -> Mask:
        """Which rows; `constants` are columns of one value. `private` None: it is not known which features are, so that a text
        is compared both as it is and hashed. Raises WhereInvalid."""
        columns = {name.casefold(): name for name in table.column_names}

        def fulfils(term: Term) -> Mask:
            name = term.column if term.column in table.column_names else columns.get(term.column.casefold())
            if name is not None:
                self.met.add(term.column)
                privacy = None if private is None else private.get(name.removeprefix("feature."), Privacy.KEEP)
                return self._column(term, table[name], privacy)
            if term.column in constants:
                self.met.add(term.column)
                return self._column(
                    term, pa.chunked_array([pa.repeat(constants[term.column], len(table))]), Privacy.KEEP
                )
            return np.zeros(len(table), dtype=np.bool_)

        found: Mask = evaluate(self.clause, fulfils)
        return found

    def _column(self, term: Term, column: pa.ChunkedArray, privacy: Privacy | None) -> Mask:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        there: Mask = column.is_valid().to_numpy().astype(np.bool_)
        if term.op == "null":
            return np.logical_not(there) if not term.negated else there
        literals = term.literals
        answer: Mask
        if privacy is Privacy.HASH:
            literals = self._hashes(term)
        elif privacy is None and pa.types.is_string(column.type) and term.op in ("=", "!=", "in"):
            literals = (*self._hashes(term), *(literal for literal in literals if isinstance(literal, str)))
        answer = _compared(term, column, literals)
        found: Mask = there & (~answer if term.negated else answer)
        return found

    def _hashes(self, term: Term) -> tuple[Literal, ...]:
        if term.op not in ("=", "!=", "in"):
            raise WhereInvalid(f"{term.column} {term.op} …", f"=, != or in: {term.column} is hashed")
        found = [hashed(self._key, literal) for literal in term.literals]
        narrow = [literal for literal in term.literals if isinstance(literal, float)]
        with np.errstate(over="ignore"):  # what a client sent in 32 bits was hashed as it came
            return (*found, *(hashed(self._key, float(np.float32(literal))) for literal in narrow))


def _compared(term: Term, column: pa.ChunkedArray, literals: Sequence[Literal]) -> Mask:
    """Where null, anything."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _texts(term, column, _of_kind(term, literals, str))
    if pa.types.is_boolean(kind):
        values = column.fill_null(False).to_numpy().astype(np.bool_)
        return _any(term, values, _of_kind(term, literals, bool))
    if pa.types.is_timestamp(kind):
        values = column.cast(pa.int64()).fill_null(0).to_numpy()
        return _any(term, values, [_microseconds(term, literal) for literal in literals])
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise WhereInvalid(f"{term.column}, a {kind}", "a column of numbers, texts, truths or times")
    values = column.fill_null(0).to_numpy()
    return _any(term, values, _of_kind(term, literals, int, float))


def _texts(term: Term, column: pa.ChunkedArray, literals: Sequence[Any]) -> Mask:
    filled = column.fill_null("")
    if len(literals) > 1 or term.op == "in":
        found: Mask = pc.is_in(filled, value_set=pa.array(literals, column.type)).to_numpy().astype(np.bool_)
        return np.logical_not(found) if term.op == "!=" else found
    names = {"=": "equal", "!=": "not_equal", "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}
    compared: Mask = pc.call_function(names[term.op], [filled, pa.scalar(literals[0], column.type)]).to_numpy()
    return compared


def _any(term: Term, values: npt.NDArray[Any], literals: Sequence[Any]) -> Mask:
    if term.op == "in":
        one: Mask = np.logical_or.reduce([values == literal for literal in literals])
        return one
    found: Mask = np.asarray(_OPERATORS[term.op](values, literals[0]), dtype=np.bool_)
    return found


def _of_kind(term: Term, literals: Sequence[Literal], *kinds: type) -> Sequence[Any]:
    """The literals, where all are of these kinds; true is no number."""
    for literal in literals:
        if not isinstance(literal, kinds) or (isinstance(literal, bool) and bool not in kinds):
            names = {str: "a text in '…'", bool: "true or false"}
            raise WhereInvalid(f"{term.column} {term.op} {type(literal).__name__}", names.get(kinds[0], "a number"))
    return literals


def _microseconds(term: Term, literal: Literal) -> int:
    try:
        at = datetime.fromisoformat(str(literal))
    except ValueError as error:
        raise WhereInvalid(f"{term.column} {term.op} {literal!r}", "a time such as '2026-01-31T12:00:00Z'") from error
    since = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
