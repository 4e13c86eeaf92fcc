"""May this graph be loaded? Walks the protobuf and refuses what must never reach the runtime.

Laws
- Nothing is loaded, run or read from disk to decide.
- Every tensor and every node is looked at wherever it hides: (sparse) initializers, attributes, subgraphs, functions.
- A refusal names the node or tensor.
"""

from collections.abc import Iterator

from google.protobuf.message import DecodeError
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

from models.errors import ArtifactRefused

MODEL_BYTES_MAX = 1 << 31  # protobuf's own limit for one message; larger models need external data, which is refused
DEPTH_MAX = 16  # nested If/Loop/Scan bodies; real exports have 1 to 3
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training", "com.microsoft"})
OPSET_MAX = 27  # of the default domain; the runtime would refuse later, with less to say
_FORBIDDEN_OPS = frozenset({"EPContext"})  # carries a path or a blob for a foreign execution provider

_Scope = GraphProto | FunctionProto


def inspect(model: bytes, ref: str) -> ModelProto:
    """The parsed model, when it may be loaded. Raises ArtifactRefused with the place and what was found."""
    if len(model) >= MODEL_BYTES_MAX:
        raise ArtifactRefused(ref, f"{len(model)} bytes", f"fewer than {MODEL_BYTES_MAX}")
    parsed = ModelProto()
    try:
        parsed.ParseFromString(model)
    except DecodeError as error:
        raise ArtifactRefused(ref, "bytes that are no ONNX protobuf", "an ONNX model") from error
    if not parsed.graph.node or not parsed.opset_import:
        raise ArtifactRefused(ref, "no graph", "an ONNX model with at least one node")
    _domains(parsed, ref)
    own = frozenset((function.domain, function.name) for function in parsed.functions)
    _graph(parsed.graph, ref, own, depth=0)
    for function in parsed.functions:
        place = f"{ref}, function {function.name!r}"
        _nodes(function.node, place, own, depth=0)
        for default in function.attribute_proto:
            _attribute(default, place, own, depth=0)
    for training in parsed.training_info:
        _graph(training.initialization, f"{ref}, training", own, depth=0)
        _graph(training.algorithm, f"{ref}, training", own, depth=0)
    return parsed


def _domains(parsed: ModelProto, ref: str) -> None:
    local = {function.domain for function in parsed.functions}
    for opset in parsed.opset_import:
        if opset.domain not in DOMAINS | local:
            raise ArtifactRefused(f"{ref}, opset_import", f"domain {opset.domain!r}", f"one of {sorted(DOMAINS)}")
        if opset.domain in ("", "ai.onnx") and opset.version > OPSET_MAX:
            raise ArtifactRefused(f"{ref}, opset_import", f"opset {opset.version}", f"at most {OPSET_MAX}")


def _graph(graph: GraphProto, where: str, own: frozenset[tuple[str, str]], *, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise ArtifactRefused(where, f"graphs nested deeper than {DEPTH_MAX}", "a flatter graph")
    for tensor in _tensors(graph):
        _inline(tensor, where)
    _nodes(graph.node, where, own, depth=depth)


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices


def _nodes(
    nodes: "Iterator[NodeProto] | list[NodeProto]", where: str, own: frozenset[tuple[str, str]], *, depth: int
) -> None:
    for node in nodes:
        place = f"{where}, node {node.name or node.op_type!r} ({node.op_type})"
        if node.op_type in _FORBIDDEN_OPS:
            raise ArtifactRefused(place, f"operator {node.op_type}", "operators of the CPU provider")
        if node.domain not in DOMAINS and (node.domain, node.op_type) not in own:
            raise ArtifactRefused(place, f"domain {node.domain!r}", f"one of {sorted(DOMAINS)}")
        for attribute in node.attribute:
            _attribute(attribute, place, own, depth=depth)


def _attribute(attribute: AttributeProto, place: str, own: frozenset[tuple[str, str]], *, depth: int) -> None:
    for tensor in (attribute.t, *attribute.tensors):
        _inline(tensor, f"{place}.{attribute.name}")
    for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
        _inline(sparse.values, f"{place}.{attribute.name}")
        _inline(sparse.indices, f"{place}.{attribute.name}")
    for graph in (attribute.g, *attribute.graphs):
        _graph(graph, f"{place}.{attribute.name}", own, depth=depth + 1)


def _inline(tensor: TensorProto, place: str) -> None:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        found = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        raise ArtifactRefused(
            f"{place}, tensor {tensor.name!r}", f"external data {found!r}", "all data inside the file"
        )
