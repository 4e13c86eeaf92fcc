"""What goes to a process of ours comes out of it as it went in."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from models.packed import pack, unpack
from models.tensors import DTYPES, Array

NUMBERS = [np.dtype(dtype) for name, dtype in DTYPES.items() if name != "BYTES"]
SHAPES = array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
TENSORS = st.sampled_from(NUMBERS).flatmap(lambda dtype: arrays(dtype, SHAPES))
TEXTS = arrays(object, SHAPES, elements=st.text(max_size=5), fill=st.nothing())


@given(st.lists(st.dictionaries(st.text(max_size=5), TENSORS | TEXTS, max_size=3), max_size=3))
def test_what_is_unpacked_is_what_was_packed(runs: list[dict[str, Array]]) -> None:
    back = unpack(pack(runs))
    assert [list(run) for run in back] == [list(run) for run in runs]
    for given_run, run in zip(runs, back, strict=True):
        for name, array in run.items():
            assert (array.dtype, array.shape) == (given_run[name].dtype, given_run[name].shape)
            assert array.tolist() == given_run[name].tolist() or array.tobytes() == given_run[name].tobytes()


@given(st.binary(max_size=64))
def test_what_nobody_packed_is_an_error_and_nothing_else(data: bytes) -> None:
    try:
        unpack(data)
    except (msgspec.MsgspecError, ValueError, KeyError):
        return


def test_numbers_that_do_not_fill_their_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="reshape"):
        unpack(msgspec.msgpack.encode([{"x": ("FP32", [3], b"1234")}]))
