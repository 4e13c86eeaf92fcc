"""A table of graphs that must never be loaded, wherever the danger hides in them."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import GraphProto, ModelProto, SparseTensorProto, TensorProto, helper

from models.errors import ArtifactRefused
from models.inspect import DEPTH_MAX, OPSET_MAX, inspect
from tests.onnx_models import echo, image, mixed, proto

SPEC: dict[str, Any] = {"x": ("FP32", ["N", 1])}


def plain() -> ModelProto:
    return proto([helper.make_node("Identity", ["x"], ["y"], name="first")], SPEC, {"y": ("FP32", ["N", 1])})


def external(name: str = "weights") -> TensorProto:
    tensor = helper.make_tensor(name, TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def half_external() -> TensorProto:
    """The place is named, the location says default: which one counts is up to the runtime."""
    tensor = helper.make_tensor("weights", TensorProto.FLOAT, [1], [1.0])
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def sparse(values: TensorProto) -> SparseTensorProto:
    return helper.make_sparse_tensor(values, helper.make_tensor("i", TensorProto.INT64, [1], [0]), [1])


def body(tensor: TensorProto) -> GraphProto:
    return helper.make_graph([helper.make_node("Identity", ["w"], ["z"])], "body", [], [], [tensor])


def as_initializer(model: ModelProto) -> None:
    model.graph.initializer.append(external())


def as_half_initializer(model: ModelProto) -> None:
    model.graph.initializer.append(half_external())


def as_sparse_values(model: ModelProto) -> None:
    model.graph.sparse_initializer.append(sparse(external()))


def as_sparse_indices(model: ModelProto) -> None:
    found = sparse(helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0]))
    found.indices.CopyFrom(external())
    model.graph.sparse_initializer.append(found)


def as_attribute(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=external()))


def as_attribute_list(model: ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"])
    attribute = node.attribute.add(name="many")
    attribute.tensors.append(external())
    model.graph.node.append(node)


def as_sparse_attribute(model: ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"], sparse_value=sparse(external()))
    model.graph.node.append(node)


def as_sparse_attribute_list(model: ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"])
    node.attribute.add(name="many").sparse_tensors.append(sparse(external()))
    model.graph.node.append(node)


def in_a_subgraph(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("If", ["x"], ["c"], then_branch=body(external())))


def in_a_list_of_subgraphs(model: ModelProto) -> None:
    node = helper.make_node("Scan", ["x"], ["c"])
    node.attribute.add(name="bodies").graphs.append(body(external()))
    model.graph.node.append(node)


def in_a_function(model: ModelProto) -> None:
    inner = helper.make_node("Constant", [], ["c"], value=external())
    model.functions.append(helper.make_function("local", "F", [], ["c"], [inner], model.opset_import))


def in_a_default_of_a_function(model: ModelProto) -> None:
    function = helper.make_function("local", "F", ["a"], ["c"], [helper.make_node("Identity", ["a"], ["c"])], [])
    function.attribute_proto.append(helper.make_attribute("w", external()))
    model.functions.append(function)


def in_a_training_graph(model: ModelProto) -> None:
    model.training_info.add().algorithm.CopyFrom(body(external()))


def in_a_training_initialization(model: ModelProto) -> None:
    model.training_info.add().initialization.CopyFrom(body(external()))


def nested_in_all(model: ModelProto) -> None:
    deepest = helper.make_node("If", ["x"], ["c"], then_branch=body(external()))
    graph = helper.make_graph([deepest], "outer", [], [])
    inner = helper.make_node("Loop", ["x"], ["c"], body=graph)
    model.functions.append(helper.make_function("local", "F", [], ["c"], [inner], model.opset_import))


def foreign_domain_of_a_node(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Run", ["x"], ["c"], domain="com.evil"))


def foreign_domain_imported(model: ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.evil", 1))


def foreign_domain_in_a_subgraph(model: ModelProto) -> None:
    inner = helper.make_graph([helper.make_node("Run", [], ["z"], domain="com.evil")], "body", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], ["c"], then_branch=inner))


def another_function_of_a_local_domain(model: ModelProto) -> None:
    inner = [helper.make_node("Identity", ["a"], ["b"])]
    model.functions.append(helper.make_function("local", "F", ["a"], ["b"], inner, model.opset_import))
    model.graph.node.append(helper.make_node("G", ["x"], ["c"], domain="local"))


def context_for_a_foreign_provider(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("EPContext", ["x"], ["c"], domain="com.microsoft", ep_cache_context="/x"))


def too_deep(model: ModelProto) -> None:
    graph = body(helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0]))
    for _ in range(DEPTH_MAX + 1):
        node = helper.make_node("If", ["x"], ["c"], then_branch=graph)
        graph = helper.make_graph([node], "outer", [], [])
    model.graph.node.extend(graph.node)


def too_new(model: ModelProto) -> None:
    model.opset_import[0].version = OPSET_MAX + 1


EXTERNAL = [
    as_initializer,
    as_half_initializer,
    as_sparse_values,
    as_sparse_indices,
    as_attribute,
    as_attribute_list,
    as_sparse_attribute,
    as_sparse_attribute_list,
    in_a_subgraph,
    in_a_list_of_subgraphs,
    in_a_function,
    in_a_default_of_a_function,
    in_a_training_graph,
    in_a_training_initialization,
    nested_in_all,
]
FOREIGN = [
    foreign_domain_of_a_node,
    foreign_domain_imported,
    foreign_domain_in_a_subgraph,
    another_function_of_a_local_domain,
]


def refused(change: Callable[[ModelProto], None]) -> str:
    model = plain()
    change(model)
    with pytest.raises(ArtifactRefused) as refusal:
        inspect(model.SerializeToString(), "m:1")
    sentence = str(refusal.value)
    assert sentence.startswith("m:1") and sentence.endswith("; not loading it")
    return sentence


@pytest.mark.parametrize("change", EXTERNAL, ids=lambda change: change.__name__)
def test_external_data_is_found_wherever_it_hides_and_named(change: Callable[[ModelProto], None]) -> None:
    sentence = refused(change)
    assert "'weights'" in sentence and "external data '/etc/passwd'" in sentence


@pytest.mark.parametrize("change", FOREIGN, ids=lambda change: change.__name__)
def test_operators_of_unknown_origin_are_refused_with_their_domain(change: Callable[[ModelProto], None]) -> None:
    assert "domain '" in refused(change)


def test_a_context_for_a_foreign_provider_is_refused() -> None:
    assert "operator EPContext" in refused(context_for_a_foreign_provider)


def test_a_graph_that_is_too_deep_or_too_new_is_refused() -> None:
    assert f"nested deeper than {DEPTH_MAX}" in refused(too_deep)
    assert f"opset {OPSET_MAX + 1}" in refused(too_new)


@pytest.mark.parametrize("model", [plain().SerializeToString(), mixed(), image(), echo(SPEC)])
def test_an_honest_graph_is_parsed(model: bytes) -> None:
    assert inspect(model, "m:1").graph.node


def test_a_function_of_the_model_itself_may_be_called() -> None:
    model = plain()
    inner = [helper.make_node("Identity", ["a"], ["b"])]
    model.functions.append(helper.make_function("local", "F", ["a"], ["b"], inner, model.opset_import))
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.graph.node.append(helper.make_node("F", ["x"], ["c"], domain="local"))
    inspect(model.SerializeToString(), "m:1")


@pytest.mark.parametrize("junk", [b"", b"\x00", b"junk" * 100, mixed()[:-5], mixed()[7:], b"\x3a" * 5000])
def test_bytes_that_are_no_model_are_refused(junk: bytes) -> None:
    with pytest.raises(ArtifactRefused):
        inspect(junk, "m:1")


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(junk: bytes) -> None:
    try:
        inspect(junk, "m:1")
    except ArtifactRefused as refusal:
        assert "m:1" in str(refusal)
