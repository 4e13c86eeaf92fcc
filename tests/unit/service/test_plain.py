from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tensors import DTYPES
from service.plain import array_of, fits

INT_TYPES = [name for name in DTYPES if "INT" in name]


@given(st.sampled_from(INT_TYPES), st.data())
def test_integers_come_out_as_they_went_in(datatype: str, data: st.DataObject) -> None:
    limits = np.iinfo(DTYPES[datatype])
    values = data.draw(st.lists(st.lists(st.integers(int(limits.min), int(limits.max)), min_size=2, max_size=2)))
    array = array_of(values, datatype)
    assert array.dtype == DTYPES[datatype]
    assert array.tolist() == values


@given(st.lists(st.floats(allow_nan=False) | st.integers(-(2**50), 2**50)))
def test_numbers_come_out_as_they_went_in(values: list[float]) -> None:
    assert array_of(values, "FP64").tolist() == values


@given(st.lists(st.text(), min_size=1))
def test_texts_come_out_as_they_went_in(values: list[str]) -> None:
    assert array_of(values, "BYTES").tolist() == values


@pytest.mark.parametrize(
    ("values", "datatype", "found"),
    [
        (["1.5"], "FP32", "a string"),
        ([True], "FP32", "a boolean"),
        ([None], "FP32", "null"),
        ([{"a": 1}], "FP32", "an object"),
        ([[1, 2], [3]], "FP32", "a list"),
        ([1, [2]], "FP32", "a list"),
        ([1.5], "INT64", "a fraction"),
        ([1e30], "INT64", "too large"),
        ([300], "INT8", "300"),
        ([-1], "UINT8", "-1"),
        ([10**400], "FP64", "int too large"),
        ([True], "INT64", "a boolean"),
        ([1], "BOOL", "an integer"),
        ([1], "BYTES", "an integer"),
        ([None], "BYTES", "null"),
    ],
)
def test_nothing_is_turned_into_something_else(values: list[Any], datatype: str, found: str) -> None:
    with pytest.raises(ValueError, match="expected") as refused:
        array_of(values, datatype)
    assert found in str(refused.value)


def test_an_integral_float_among_integers_is_an_integer() -> None:
    assert array_of([3.0, 4], "INT32").tolist() == [3, 4]


def test_a_shape_fits_where_sizes_are_equal_or_free() -> None:
    assert fits((5, 2, 2), (-1, 2, 2))
    assert not fits((5, 2), (-1, 2, 2))
    assert not fits((5, 2, 3), (-1, 2, 2))
