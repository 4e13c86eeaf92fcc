"""Tensors on their way to a process of ours: bytes that need no trust to be read.

Laws
- What is unpacked is what was packed: datatype, shape and every value, NaN among them.
- Unpacking runs nothing of what it reads; whatever is no such bytes is a msgspec.MsgspecError, KeyError or ValueError.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from models.tensors import DTYPES, Array

_NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    """`values`: the bytes of numbers, or the texts of BYTES."""

    datatype: str
    shape: list[int]
    values: bytes | list[str]


def pack(runs: Sequence[Mapping[str, Array]]) -> bytes:
    """The input tensors of several runs."""
    return msgspec.msgpack.encode([{name: _packed(array) for name, array in run.items()} for run in runs])


def unpack(data: bytes) -> list[dict[str, Array]]:
    """What was packed."""
    runs = msgspec.msgpack.decode(data, type=list[dict[str, _Packed]])
    return [{name: _unpacked(packed) for name, packed in run.items()} for run in runs]


def _packed(array: Array) -> _Packed:
    texts = array.dtype == object
    return _Packed(_NAMES[array.dtype], list(array.shape), [str(v) for v in array.flat] if texts else array.tobytes())


def _unpacked(packed: _Packed) -> Array:
    dtype = DTYPES[packed.datatype]
    if isinstance(packed.values, list):
        array: Array = np.empty(len(packed.values), dtype=object)
        array[:] = packed.values
        return array.reshape(packed.shape)
    return np.frombuffer(packed.values, dtype=dtype).reshape(packed.shape)
