"""What a model takes and gives: the columns a backend thinks in, and how they lie in the graph's tensors.

Laws
- A column has a name, a kind and a place; the order of `features` is the order of every row tuple and of every logged row.
- Every feature belongs to exactly one input tensor; a tensor without features is served and logged by digest, not by value.
- Two contracts that are equal as values are equal as bytes (`encode` is canonical).
"""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from math import isfinite
from typing import Self

import msgspec

from models.errors import UNDECODABLE, ContractInvalid

# Wider outputs (embeddings, logits over a vocabulary) are logged by digest: 512 B a row is the limit.
OUTPUT_COLUMNS_MAX = 64
# A string column with more distinct values is free text: logged as text, its values not enumerated.
CATEGORIES_MAX = 256


class Kind(StrEnum):
    """What a column holds, as the client writes it."""

    FLOAT = "float"
    INT = "int"
    BOOL = "bool"
    STRING = "string"


class Privacy(StrEnum):
    """What becomes of a feature's values before they are written anywhere (service/featurelog/privacy.py)."""

    KEEP = "keep"
    DROP = "drop"
    HASH = "hash"
    BUCKET = "bucket"


class Column(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One named feature or output.

    `low` and `high` are the training range (outside it a value is answered and counted, never refused);
    `categories` are the training values of a string column, sorted, or None for free text.
    `edges` are the inner edges of a bucketed number's bins, ascending, None elsewhere: bin i holds edges[i-1] <= x < edges[i].
    """

    name: str
    kind: Kind
    nullable: bool = False
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] | None = None
    privacy: Privacy = Privacy.KEEP
    edges: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise ContractInvalid(f"column {self.name!r}", f"low {self.low:g}, high {self.high:g}", "low at most high")
        if self.categories is not None:
            if self.kind is not Kind.STRING:
                raise ContractInvalid(
                    f"column {self.name!r}", f"categories of kind {self.kind.value}", "categories of text"
                )
            if list(self.categories) != sorted(set(self.categories)):
                raise ContractInvalid(
                    f"column {self.name!r}", "categories out of order", "each once, sorted: codes depend on it"
                )
        _buckets_are_declared(self)


class Tensor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One tensor of the graph: V2 `datatype`, `shape` with the batch first and -1 for a free dimension.

    `columns` names what lies in it, left to right; empty means a plain tensor without column meaning.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        places = self.shape[1:] or (1,)
        if self.columns and (len(places) > 1 or places[0] not in (-1, len(self.columns))):
            raise ContractInvalid(
                f"tensor {self.name!r}",
                f"{len(self.columns)} columns in shape {list(self.shape)}",
                "as many columns as places",
            )


class Contract(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything a caller and a reader of the log must know of a model version."""

    features: tuple[Column, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    output_columns: tuple[Column, ...]
    label: str | None = None

    def __post_init__(self) -> None:
        _columns_lie_in_tensors("input", self.features, self.inputs)
        _columns_lie_in_tensors("output", self.output_columns, self.outputs)
        if odd := [column.name for column in self.output_columns if column.privacy is not Privacy.KEEP]:
            raise ContractInvalid(f"output column {odd[0]!r}", "a privacy", "none: privacy is of features")
        if not self.inputs or not self.outputs:
            raise ContractInvalid("contract", "no tensor", "at least one input and one output")

    @property
    def tabular(self) -> bool:
        """Every input tensor is made of named columns, so a request is rows of features."""
        return all(tensor.columns for tensor in self.inputs)

    def encode(self) -> bytes:
        """Canonical JSON: fields in declaration order, two-space indent, a final newline."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises ContractInvalid when the bytes are not a contract."""
        try:
            return msgspec.json.decode(data, type=cls)
        except UNDECODABLE as error:
            raise ContractInvalid(
                "contract.json", str(error), "a contract as `plumbline models add` writes it"
            ) from error


def _buckets_are_declared(column: Column) -> None:
    bucketed = column.privacy is Privacy.BUCKET and column.kind is not Kind.STRING
    if bucketed and not column.edges:
        found = "no edges" if column.edges is None else "no edge"
        raise ContractInvalid(f"column {column.name!r}", f"privacy bucket, {found}", "edges of its bins")
    if column.edges is not None and (
        not bucketed or list(column.edges) != sorted(set(column.edges)) or not all(map(isfinite, column.edges))
    ):
        raise ContractInvalid(
            f"column {column.name!r}", f"edges {list(column.edges)[:4]}", "ascending, finite, of a bucketed number"
        )


def _columns_lie_in_tensors(side: str, columns: Sequence[Column], tensors: Sequence[Tensor]) -> None:
    declared = [column.name for column in columns]
    placed = [name for tensor in tensors for name in tensor.columns]
    for what, names in ((f"{side} columns", declared), (f"{side} tensors' columns", placed)):
        if twice := sorted(name for name, times in Counter(names).items() if times > 1):
            raise ContractInvalid(what, f"{twice[0]!r} twice", "every name once")
    if set(declared) != set(placed):
        odd = min(set(declared) ^ set(placed))
        raise ContractInvalid(
            f"{side} columns", f"{odd!r} only on one side", "the declared columns are those in the tensors"
        )
    kinds = {column.name: column for column in columns}
    for tensor in tensors:
        for name in tensor.columns:
            _kind_fits(kinds[name], tensor)


def _kind_fits(column: Column, tensor: Tensor) -> None:
    if (column.kind is Kind.STRING) != (tensor.datatype == "BYTES"):
        raise ContractInvalid(
            f"column {column.name!r}", column.kind.value, f"a kind that fits {tensor.datatype} of {tensor.name!r}"
        )
    if column.nullable and column.kind is not Kind.STRING and not tensor.datatype.startswith("FP"):
        raise ContractInvalid(
            f"column {column.name!r}",
            f"nullable in {tensor.datatype}",
            "a floating point tensor, where null becomes NaN",
        )
