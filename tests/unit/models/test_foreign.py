"""What a file is, told by its bytes; how deep a graph is that protobuf does not follow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.foreign import foreign, likely
from models.nesting import depth
from tests.hostile import graphs as g
from tests.hostile.table import RENAMED
from tests.onnx_models import echo, image, mixed, turning, wide

HONEST = [mixed(), image(), turning(), wide(16, 1), echo({"x": ("FP32", ["N", 1])}), g.plain().SerializeToString()]


@pytest.mark.parametrize("model", HONEST)
def test_a_model_is_never_taken_for_something_else(model: bytes) -> None:
    assert foreign(model) is None


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\x1f\x8b\x08", "gzip"),
        (b"BZh91AY", "bzip2"),
        (b"\x93NUMPY\x01", "NumPy"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"GGUF\x03", "GGUF"),
        (b"\x7fELF\x02", "program"),
        (b"%PDF-1.7", "PDF"),
        (b"\x1c\x00\x00\x00TFL3", "TensorFlow Lite"),
        (b"\x80\x05\x95", "pickle (protocol 5)"),
        (b"PK\x03\x04....META-INF/", "Java"),
        (b"\x20\x00\x00\x00\x00\x00\x00\x00{" + b'"w":{}}' * 9, "safetensors"),
        (b"<?xml version='1.0'?><PMML/>", "XML"),
        (b"[1, 2]", "JSON"),
        (b"just some words\n", "text"),
        (b"\xff\x00\x17" * 9, "no ONNX protobuf"),
    ],
)
def test_each_kind_is_told_by_its_name(data: bytes, told: str) -> None:
    assert told in (foreign(data) or likely(data))


def test_every_renamed_file_of_the_table_is_told_apart() -> None:
    told = [foreign(made) or likely(made) for hostile in RENAMED if (made := hostile.model())]
    assert len(set(told)) == len(told)


@pytest.mark.parametrize("levels", [0, 1, 40, 5_000])
def test_depth_is_counted_where_protobuf_gives_up(levels: int) -> None:
    assert depth(g.deep(levels)()) == levels


@given(st.binary(max_size=400))
def test_any_bytes_have_a_depth_and_a_name(data: bytes) -> None:
    assert -1 <= depth(data) <= 200
    assert foreign(data) or likely(data)
