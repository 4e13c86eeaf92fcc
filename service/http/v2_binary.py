"""Where do a tensor's values lie when they travel beside the JSON, and how do they become an array? (V2's binary tensor data)

A body is the JSON of `Inference-Header-Content-Length` bytes, then the data of each tensor that has `binary_data_size`, in the
order of the JSON, with nothing between. Numbers are little-endian and row-major; a BOOL is one byte, 0 or 1; an element of
BYTES is its length (u32) and its bytes, which must be UTF-8 because the graph's strings are.

Laws
- Every byte of a body belongs to exactly one tensor, or the body is refused.
- `flat(packed(a)) == a`, bit for bit, for every datatype.
- What is read is a view of the body where it can be; nothing is allocated before its size was checked against the body's.
"""

from collections.abc import Iterable, Sequence
from math import prod
from struct import Struct
from typing import Any

import numpy as np

from models.tensors import DTYPES, Array
from service.errors import MalformedBody

HEADER = b"inference-header-content-length"
CONTENT_TYPE = b"application/octet-stream"
_EXPECTED = "JSON of Inference-Header-Content-Length bytes, then the tensors' data"
_DIGITS_MAX = 18  # more is larger than any body, and int() would take long over it
_length = Struct("<I")
_LITTLE = {name: np.dtype(kind).newbyteorder("<") for name, kind in DTYPES.items() if name != "BYTES"}

Flat = list[Any] | Array
"""The values of one tensor in row-major order: a list of what JSON gives, or an array of one dimension."""


def split(body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, memoryview]:
    """The JSON, and what follows it. Raises MalformedBody."""
    for name, value in headers:
        if name == HEADER:
            if not value.isdigit() or len(value) > _DIGITS_MAX or int(value) > len(body):
                found = value[:32].decode("latin-1")
                expected = f"the bytes of JSON among the {len(body)} of the body"
                raise MalformedBody(f"found {found!r}", expected, where=f"header {HEADER.decode()}")
            size = int(value)
            return body[:size], memoryview(body)[size:]
    return body, memoryview(b"")


def pieces(data: memoryview, sizes: Sequence[int | None]) -> list[memoryview | None]:
    """The data cut into tensors; None for a tensor without. Raises MalformedBody when the sizes do not add up to it."""
    if any(size is not None and size >= 10**_DIGITS_MAX for size in sizes):  # so that their sum can be told
        raise MalformedBody(f"found a binary_data_size of more than {_DIGITS_MAX} digits", _EXPECTED)
    told = sum(size for size in sizes if size is not None)
    if told != len(data):
        raise MalformedBody(f"found {len(data)} bytes after the JSON, {told} by its binary_data_size", _EXPECTED)
    found: list[memoryview | None] = []
    end = 0
    for size in sizes:
        begin, end = end, end + (size or 0)
        found.append(None if size is None else data[begin:end])
    return found


def flat(data: memoryview, datatype: str, shape: Sequence[int]) -> Flat:
    """The values of one tensor; an array for numbers and booleans. Raises ValueError with what was found and expected."""
    if datatype == "BYTES":
        return _texts(data, prod(shape))
    dtype = _LITTLE[datatype]
    expected = prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise ValueError(f"{len(data)} bytes, expected {expected} for {datatype} of shape {list(shape)}")
    if datatype == "BOOL" and (np.frombuffer(data, np.uint8) > 1).any():
        raise ValueError("a byte that is neither 0 nor 1, expected BOOL")
    array: Array = np.frombuffer(data, dtype)
    return array if array.flags.aligned else array.copy()  # the JSON before it may end at an odd place


def _texts(data: memoryview, count: int) -> list[Any]:
    texts: list[Any] = []
    size, end = len(data), 0
    if count * _length.size > size:  # before a list of that many is made
        raise ValueError(f"{size} bytes, expected at least {count * _length.size} for {count} elements of BYTES")
    while end < size:
        begin = end + _length.size
        end = begin + _length.unpack_from(data, end)[0] if begin <= size else size + 1
        if end > size:
            raise ValueError(f"element {len(texts)} ends after the data, expected u32 length and so many bytes")
        try:
            texts.append(str(data[begin:end], "utf-8"))
        except UnicodeDecodeError as error:
            raise ValueError(f"element {len(texts)} is not UTF-8, expected text") from error
    if len(texts) != count:
        raise ValueError(f"{len(texts)} elements of BYTES, expected {count}")
    return texts


def packed(array: Array, datatype: str) -> bytes:
    """The data of an output tensor."""
    if datatype != "BYTES":
        return np.ascontiguousarray(array, _LITTLE[datatype]).tobytes()
    parts: list[bytes] = []
    for value in array.ravel().tolist():
        text = value.encode() if isinstance(value, str) else bytes(value)
        parts += (_length.pack(len(text)), text)
    return b"".join(parts)
