import pytest

from models.errors import ArtifactRefused
from models.manifest import CARD, CONTRACT, MODEL, SIGNATURE
from models.sources.offer import chosen


def test_a_version_s_own_files_are_taken_and_nothing_else() -> None:
    assert chosen([MODEL, CONTRACT, SIGNATURE, "MLmodel", "conda.yaml", "other.onnx"], "m:1") == {
        name: name for name in (MODEL, CONTRACT, SIGNATURE)
    }


def test_a_graph_of_any_name_is_taken_where_it_is_the_only_one() -> None:
    assert chosen(["saved_model.onnx", CARD, "model.yaml"], "m:1") == {CARD: CARD, MODEL: "saved_model.onnx"}


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([], "found no file"),
        (["MLmodel", "model.pkl"], "found MLmodel, model.pkl"),
        (["a.onnx", "b.onnx"], "found a.onnx, b.onnx"),
        ([f"f{number}" for number in range(99)], r"… \(99\)"),
    ],
)
def test_no_graph_and_two_graphs_are_refused_with_what_was_found(names: list[str], told: str) -> None:
    with pytest.raises(ArtifactRefused, match=told):
        chosen(names, "m:1")
