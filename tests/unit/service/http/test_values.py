"""Are bodies refused for their values before they are parsed, and never one that could be served?"""

import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import Contract
from service.errors import InvalidInput, RequestError, TooManyRows, TooManyValues
from service.http.v1 import V1
from service.http.v2 import V2
from service.http.values import SMALL_BYTES, counts, values_within
from service.rows import STRING_CHARS_MAX
from tests.onnx_models import image_contract, mixed_contract
from tests.unit.service.serving import furnish, served

MIB = 1 << 20
_text = st.text(st.sampled_from('a,[]{}"\\é\n'), max_size=8)
_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=30,
)


def structure(value: Any) -> tuple[int, int]:
    """Commas and opening brackets that a value is written with."""
    if not isinstance(value, list | dict):
        return 0, 0
    inner = value if isinstance(value, list) else list(value.values())
    below = [structure(one) for one in inner]
    return max(0, len(inner) - 1) + sum(commas for commas, _ in below), 1 + sum(lists for _, lists in below)


@given(_json)
def test_what_is_counted_is_the_structure_and_never_a_string(value: Any) -> None:
    body = msgspec.json.encode(value)
    assert counts(body, strings=True) == structure(value)
    rough = counts(body, strings=False)
    assert all(more >= exact for more, exact in zip(rough, structure(value), strict=True))


LARGEST = {
    "lists": (mixed_contract(), [[1.5, 2.5, 3, True, ',[{",' * 200]] * 1000),
    "objects": (mixed_contract(), [{"amount": 1.5, "ratio": 2.5, "count": 3, "flag": True, "city": "," * 300}] * 1000),
    "plain tensors": (image_contract(), [[[1.25] * 2] * 2] * 20_000),
}


@pytest.mark.parametrize(("contract", "rows"), LARGEST.values(), ids=LARGEST)
def test_the_largest_request_that_is_allowed_passes(contract: Contract, rows: list[Any]) -> None:
    body = msgspec.json.encode({"instances": rows})
    assert len(body) > SMALL_BYTES
    values_within(contract, body, len(rows))


def repeated(unit: bytes, before: bytes, after: bytes, size: int = 4 * MIB) -> bytes:
    return before + unit * (size // len(unit)) + after


WASTEFUL = {
    "numbers for rows": ("v1", "mixed", repeated(b"1,", b'{"instances":[', b"1]}")),
    "empty lists": ("v1", "mixed", repeated(b"[],", b'{"instances":[', b"[]]}")),
    "empty objects": ("v1", "mixed", repeated(b"{},", b'{"instances":[', b"{}]}")),
    "rows without end": ("v1", "mixed", repeated(b'[1,1,1,true,"a"],', b'{"instances":[', b"[]]}")),
    "columns without end": ("v1", "mixed", repeated(b"1,", b'{"inputs":{"amount":[', b"1]}}")),
    "lists in lists": ("v1", "image", repeated(b"[" * 60 + b"]" * 60 + b",", b'{"instances":[', b"1]}")),
    "elements without end": ("v1", "image", repeated(b"1,", b'{"instances":[', b"1]}")),
    "members beside": ("v1", "mixed", repeated(b'"a":1,', b"{", b'"instances":[[1]]}')),
    "tensors": (
        "v2",
        "mixed",
        repeated(b'{"name":"a","shape":[1],"datatype":"FP32","data":[1]},', b'{"inputs":[', b"1]}"),
    ),
    "a long shape": ("v2", "mixed", repeated(b"1,", b'{"inputs":[{"shape":[', b"1]}]}")),
    "outputs": ("v2", "mixed", repeated(b'{"name":"a"},', b'{"inputs":[],"outputs":[', b"1]}")),
    "parameters": ("v2", "mixed", repeated(b'"a":[],', b'{"inputs":[],"parameters":{', b'"a":1}}')),
}


@pytest.mark.parametrize(("protocol", "model", "body"), WASTEFUL.values(), ids=WASTEFUL)
def test_a_wasteful_body_is_refused_before_it_is_parsed(tmp_path: Path, protocol: str, model: str, body: bytes) -> None:
    """4 MiB would become 100 MiB of objects; what is spent is what counting takes."""
    furnish(tmp_path)
    version = served(tmp_path, model)
    wire = V1() if protocol == "v1" else V2()
    tracemalloc.start()
    with pytest.raises(TooManyValues, match="values, expected at most"):
        wire.decode(version, body)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 5 * len(body)


@pytest.mark.parametrize("body", [b'{"instances":[%s]}', b'{"inputs":{"amount":[%s]}}'], ids=["rows", "columns"])
def test_too_many_rows_are_refused_before_they_are_examined(tmp_path: Path, body: bytes) -> None:
    furnish(tmp_path)
    with pytest.raises(TooManyRows):
        V1(max_rows=10).decode(served(tmp_path), body % b",".join([b"null"] * 11))


def test_a_row_of_many_unknown_names_is_looked_at_no_longer_than_needed(tmp_path: Path) -> None:
    furnish(tmp_path)
    row = {**{f"x{i}": 1 for i in range(1000)}}
    with pytest.raises(InvalidInput) as caught:
        V1().decode(served(tmp_path), msgspec.json.encode({"instances": [row]}))
    assert caught.value.more <= 2 * 20 + 5


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (V1(), {"instances": [[1.5, 2.5, 3, True, "x" * (STRING_CHARS_MAX + 1)]]}),
        (V2(), {"id": "x" * 1025, "inputs": []}),
        (V1(), {"instances": [{"x" * 100_000: 1}]}),
        (V2(), {"inputs": [{"name": "x" * 100_000, "shape": [1], "datatype": "FP32", "data": [1]}]}),
        (V2(), {"inputs": [{"name": "amount", "shape": [2**62] * 32, "datatype": "FP32", "data": [1]}]}),
    ],
    ids=["text", "id", "name of a feature", "name of a tensor", "shape"],
)
def test_long_names_and_texts_are_refused_in_few_words(tmp_path: Path, wire: V1 | V2, body: object) -> None:
    furnish(tmp_path)
    with pytest.raises(RequestError) as caught:
        wire.decode(served(tmp_path), msgspec.json.encode(body))
    told = str(caught.value) + "".join(fault.at + fault.problem for fault in caught.value.details)
    assert len(told) < 10_000


def test_a_text_of_the_longest_length_is_served(tmp_path: Path) -> None:
    furnish(tmp_path)
    body = msgspec.json.encode({"instances": [[1.5, 2.5, 3, True, "x" * STRING_CHARS_MAX]]})
    assert V1().decode(served(tmp_path), body).inputs.n == 1
