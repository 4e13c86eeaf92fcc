"""May this graph be loaded? Walks the protobuf and refuses what must never reach the runtime.

Laws
- Nothing is loaded, run or read from disk to decide.
- Every tensor and every node is looked at wherever it hides: (sparse) initializers, attributes, subgraphs, functions. What this
  reader of the protobuf does not know, the runtime might: unknown fields are refused.
- A refusal names the node or tensor.
- What passes may still ask for too much when it runs: that is what the trial is for (models/trials.py).
"""

from collections import ChainMap, Counter
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

from google.protobuf.message import DecodeError
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto

from models.errors import ArtifactRefused
from models.foreign import foreign, likely
from models.manifest import MODEL_BYTES_MAX
from models.nesting import depth
from models.sizes import asks_for_little, constants, holds_its_places, holds_its_shape, plain, shown

RULES = 1  # rises when a law of inspection or trial becomes stricter: what passed is then tried again
DEPTH_MAX = 16  # nested If/Loop/Scan bodies; real exports have 1 to 3
CALLS_MAX = (
    64  # functions in functions; real exports have 3 to 10. At 1 000 the runtime takes minutes, at 5 000 it crashes
)
NODES_MAX = 200_000  # also after functions are put in place of their calls; the largest exports known have some 10 000
TENSORS_MAX = 200_000
ATTRIBUTES_MAX = 1_000  # of one node; operators declare at most some forty
EDGES_MAX = 10_000  # inputs or outputs of the model
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training", "com.microsoft"})
OPSET_MAX = 26  # of the default domain, and the file format: the runtime would refuse later, with less to say
IR_MAX = 13
_FORBIDDEN_OPS = frozenset({"EPContext"})  # carries a path or a blob for a foreign execution provider

_Key = tuple[str, str] | None  # a function by domain and name; the main graph
_Scope = ChainMap[str, TensorProto]  # constants that a node sees: of its graph and of those around it


def inspect(model: bytes, ref: str) -> ModelProto:
    """The parsed model, when it may be loaded. Raises ArtifactRefused with the place and what was found."""
    parsed = _parsed(model, ref)
    if not parsed.graph.node or not parsed.opset_import:
        raise ArtifactRefused(ref, "no graph, or none that says its opset", "an ONNX model with at least one node")
    _versions(parsed, ref)
    walk = _Walk(parsed, ref)
    walk.graph(parsed.graph, ref, ChainMap(), depth=0)
    for function in parsed.functions:
        walk.function(function)
    for training in parsed.training_info:
        walk.graph(training.initialization, f"{ref}, training", ChainMap(), depth=0)
        walk.graph(training.algorithm, f"{ref}, training", ChainMap(), depth=0)
    walk.calls_end()
    return parsed


def _parsed(model: bytes, ref: str) -> ModelProto:
    if len(model) >= MODEL_BYTES_MAX:
        raise ArtifactRefused(ref, f"{len(model)} bytes", f"fewer than {MODEL_BYTES_MAX}")
    if (other := foreign(model)) is not None:
        raise ArtifactRefused(ref, other, "an ONNX model")
    if not model:
        raise ArtifactRefused(ref, "an empty file", "an ONNX model")
    parsed = ModelProto()
    try:
        parsed.ParseFromString(model)
    except DecodeError as error:
        if (found := depth(model)) > DEPTH_MAX:
            raise ArtifactRefused(ref, f"graphs nested at least {found} deep", f"at most {DEPTH_MAX}") from error
        raise ArtifactRefused(ref, likely(model), "an ONNX model") from error
    known = parsed.ByteSize()
    parsed.DiscardUnknownFields()
    if (strange := known - parsed.ByteSize()) > 0:
        raise ArtifactRefused(ref, f"{strange} bytes in fields that ONNX has not", "an ONNX model and nothing else")
    return parsed


def _versions(parsed: ModelProto, ref: str) -> None:
    if parsed.ir_version > IR_MAX:
        raise ArtifactRefused(f"{ref}, ir_version", f"{parsed.ir_version}", f"at most {IR_MAX}")
    local = {function.domain for function in parsed.functions}
    for opset in parsed.opset_import:
        if opset.domain not in DOMAINS | local:
            found = f"domain {shown(opset.domain)}"
            raise ArtifactRefused(f"{ref}, opset_import", found, f"one of {sorted(DOMAINS)}")
        if opset.domain in ("", "ai.onnx") and opset.version > OPSET_MAX:
            raise ArtifactRefused(f"{ref}, opset_import", f"opset {opset.version}", f"at most {OPSET_MAX}")
    for side, edges in (("inputs", parsed.graph.input), ("outputs", parsed.graph.output)):
        if len(edges) > EDGES_MAX:
            raise ArtifactRefused(ref, f"{len(edges)} {side}", f"at most {EDGES_MAX}")


class _Walk:
    """Through all graphs and functions of one model; counts what it meets."""

    def __init__(self, parsed: ModelProto, ref: str) -> None:
        self._ref = ref
        self._own = frozenset((function.domain, function.name) for function in parsed.functions)
        self._nodes: Counter[_Key] = Counter()
        self._tensors = 0
        self._calls: dict[_Key, Counter[_Key]] = {key: Counter() for key in (None, *self._own)}
        self._inside: _Key = None

    def function(self, function: FunctionProto) -> None:
        """What is called by its name; walked once, however often it is called."""
        self._inside = (function.domain, function.name)
        place = f"{self._ref}, function {shown(function.name)}"
        known = ChainMap(constants((), function.node))
        self._node_list(function.node, place, known, depth=0)
        for default in function.attribute_proto:
            self._attribute(default, place, known, depth=0)
        self._inside = None

    def graph(self, graph: GraphProto, where: str, outer: _Scope, *, depth: int) -> None:
        """`outer`: the constants of the graphs around it."""
        if depth > DEPTH_MAX:
            raise ArtifactRefused(where, f"graphs nested deeper than {DEPTH_MAX}", "a flatter graph")
        for tensor in graph.initializer:
            self._tensor(tensor, where)
        for sparse in graph.sparse_initializer:
            self._sparse(sparse, where)
        known = outer.new_child(constants(graph.initializer, graph.node))
        self._node_list(graph.node, where, known, depth=depth)

    def _node_list(self, nodes: Iterable[NodeProto], where: str, known: _Scope, *, depth: int) -> None:
        for node in nodes:
            self._count(where)
            place = f"{where}, node {shown(node.name or node.op_type)} ({plain(node.op_type)})"
            if node.op_type in _FORBIDDEN_OPS:
                raise ArtifactRefused(place, f"operator {node.op_type}", "operators of the CPU provider")
            called = (node.domain, node.op_type)
            if called in self._own:
                self._calls[self._inside][called] += 1
            elif node.domain not in DOMAINS:
                raise ArtifactRefused(place, f"domain {shown(node.domain)}", f"one of {sorted(DOMAINS)}")
            if len(node.attribute) > ATTRIBUTES_MAX:
                raise ArtifactRefused(place, f"{len(node.attribute)} attributes", f"at most {ATTRIBUTES_MAX}")
            for attribute in node.attribute:
                self._attribute(attribute, place, known, depth=depth)
            asks_for_little(node, known, place)

    def _count(self, where: str) -> None:
        self._nodes[self._inside] += 1
        if self._nodes[self._inside] > NODES_MAX:
            raise ArtifactRefused(where, f"more than {NODES_MAX} nodes", "fewer")

    def _attribute(self, attribute: AttributeProto, place: str, known: _Scope, *, depth: int) -> None:
        where = f"{place}.{plain(attribute.name)}"
        for tensor in (*([attribute.t] if attribute.HasField("t") else ()), *attribute.tensors):
            self._tensor(tensor, where)
        sparse_one = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else ()
        for sparse in (*sparse_one, *attribute.sparse_tensors):
            self._sparse(sparse, where)
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            self.graph(graph, where, known, depth=depth + 1)

    def _sparse(self, sparse: SparseTensorProto, where: str) -> None:
        self._tensor(sparse.values, where)
        self._tensor(sparse.indices, where)
        holds_its_places(sparse, where)

    def _tensor(self, tensor: TensorProto, where: str) -> None:
        self._tensors += 1
        if self._tensors > TENSORS_MAX:
            raise ArtifactRefused(where, f"more than {TENSORS_MAX} tensors", "fewer")
        _inline(tensor, where)
        holds_its_shape(tensor, where)

    def calls_end(self) -> None:
        """The runtime puts functions in place of their calls: one that calls itself has no end, some that call each other ten
        times have 10ⁿ nodes."""
        sorter = TopologicalSorter({key: list(calls) for key, calls in self._calls.items()})
        try:
            order = list(sorter.static_order())
        except CycleError as error:
            names = " → ".join(shown(key[1]) for key in error.args[1][:8] if key)
            raise ArtifactRefused(f"{self._ref}, functions", f"calls without end: {names}", "no recursion") from error
        whole: dict[_Key, int] = {}
        deep: dict[_Key, int] = {}
        for key in order:
            place = self._ref if key is None else f"{self._ref}, function {shown(key[1])}"
            deep[key] = 1 + max((deep[called] for called in self._calls[key]), default=0)
            if deep[key] > CALLS_MAX:
                raise ArtifactRefused(place, f"functions called more than {CALLS_MAX} deep", "a flatter model")
            whole[key] = self._nodes[key] + sum(n * whole[called] for called, n in self._calls[key].items())
            if whole[key] > NODES_MAX:
                raise ArtifactRefused(place, f"more than {NODES_MAX} nodes with all functions in place", "fewer")


def _inline(tensor: TensorProto, place: str) -> None:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        found = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        raise ArtifactRefused(
            f"{place}, tensor {shown(tensor.name)}", f"external data {shown(found)}", "all data inside the file"
        )
