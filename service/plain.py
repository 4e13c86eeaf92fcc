"""Is this JSON value a tensor of that datatype? As strict as a typed column: nothing is turned into something else.

Law: every element of the array is the value that the client wrote, as exactly as the datatype holds it; the one liberty is an
integral float among integers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.tensors import DTYPES, Array

_NAMES: Mapping[type, str] = {bool: "a boolean", str: "a string", float: "a number", int: "an integer", list: "a list"}


def array_of(values: Sequence[Any], datatype: str) -> Array:
    """The values, nested as they are, in this V2 datatype. Raises ValueError with what was found and what was expected."""
    loose = np.array(values, dtype=object)
    given = loose.ravel().tolist()
    wanted, expected = _wanted(datatype)
    if odd := set(map(type, given)) - wanted:
        found = sorted(_NAMES.get(kind, "null" if kind is type(None) else "an object") for kind in odd)
        raise ValueError(f"found {found[0]}, expected {expected}")
    if datatype.lstrip("U").startswith("INT") and not all(isinstance(v, int) or v.is_integer() for v in given):
        raise ValueError(f"found a fraction, expected {expected}")
    try:
        with np.errstate(over="ignore"):  # beyond FP16 or FP32 a number is infinite to the graph, as in a typed column
            return loose.astype(DTYPES[datatype])
    except OverflowError as error:
        raise ValueError(f"{error}, expected {expected} that {datatype} can hold") from error


def _wanted(datatype: str) -> tuple[set[type], str]:
    match datatype:
        case "BYTES":
            return {str}, "strings"
        case "BOOL":
            return {bool}, "true or false"
        case _ if datatype.startswith("FP"):
            return {float, int}, "numbers"
        case _:
            return {int, float}, "integers"


def fits(shape: Sequence[int], declared: Sequence[int]) -> bool:
    """Is this a shape that the graph takes? -1 is any size."""
    return len(shape) == len(declared) and all(b < 0 or a == b for a, b in zip(shape, declared, strict=True))
