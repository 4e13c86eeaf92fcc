"""Does a tensor hold what its shape says, and what does a node ask for that needs no input to be known?

Laws
- Nothing is allocated to decide: sizes are multiplied, never made.
- What only a run can tell (shapes and counts that are computed) is left to the trial (models/trials.py).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod

from onnx import AttributeProto, GraphProto, NodeProto, SparseTensorProto, TensorProto

from models.errors import ArtifactRefused

MADE_BYTES_MAX = 1 << 30  # what one node may make of constants alone; real ones make masks of some MiB
LOOP_TRIPS_MAX = 1 << 32  # of a loop that nothing but its count ends; at 0.1 µs a turn, seven minutes
SHOWN_CHARS = 80  # of a name in a refusal; a name may have a gigabyte
_DIMENSIONS_READ = 64  # of a constant shape; the runtime takes far fewer

Constants = Mapping[str, TensorProto]

# bits of one element, and the field that holds it where it is not in raw_data, with elements an entry of that field
_T = TensorProto
_BITS: Mapping[int, int] = {
    number: bits
    for bits, names in {
        128: ("COMPLEX128",),
        64: ("DOUBLE", "INT64", "UINT64", "COMPLEX64"),
        32: ("FLOAT", "INT32", "UINT32"),
        16: ("FLOAT16", "BFLOAT16", "INT16", "UINT16"),
        8: ("INT8", "UINT8", "BOOL", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0"),
        4: ("INT4", "UINT4", "FLOAT4E2M1"),
        2: ("INT2", "UINT2"),
    }.items()
    for name in names
    if (number := dict(_T.DataType.items()).get(name)) is not None
}
_DATA = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
_WIDE = {_T.COMPLEX64: 2, _T.COMPLEX128: 2}  # two numbers an element
_INTEGERS = {_T.INT64: 8, _T.INT32: 4}  # bytes an element


def shown(name: str) -> str:
    """A name as a refusal shows it."""
    return repr(name if len(name) <= SHOWN_CHARS else name[:SHOWN_CHARS] + "…")


def plain(name: str) -> str:
    """The same without quotes."""
    return shown(name)[1:-1]


def holds_its_shape(tensor: TensorProto, place: str) -> None:
    """Raises ArtifactRefused where shape and data differ. The data lies inside the file: that was looked at before."""
    where = f"{place}, tensor {shown(tensor.name)}"
    dims = list(tensor.dims)
    if min(dims, default=0) < 0:
        raise ArtifactRefused(where, f"shape {_shape(dims)}", "no negative size")
    if tensor.HasField("segment"):
        raise ArtifactRefused(where, "a segment of a tensor", "a whole tensor")
    n, kind = prod(dims), tensor.data_type
    if kind == _T.STRING:
        found, expected, unit = len(tensor.string_data), n, "strings"
    elif kind not in _BITS:
        raise ArtifactRefused(where, f"data type {kind}", "one that ONNX has")
    elif tensor.raw_data:
        found, expected, unit = len(tensor.raw_data), -(-n * _BITS[kind] // 8), "bytes"
    else:
        found = sum(len(getattr(tensor, field)) for field in _DATA)
        packed = max(1, 8 // _BITS[kind])
        expected, unit = -(-n * _WIDE.get(kind, 1) // packed), "numbers"
    if found != expected:
        raise ArtifactRefused(where, f"{found} {unit} for shape {_shape(dims)}", f"{expected} {unit}")


def holds_its_places(sparse: SparseTensorProto, place: str) -> None:
    """A sparse tensor is made dense when it is loaded. Raises ArtifactRefused where that would be absurd."""
    made = prod(max(0, dim) for dim in sparse.dims) * _BITS.get(sparse.values.data_type, 64) // 8
    if made > MADE_BYTES_MAX or min(sparse.dims, default=0) < 0:
        where = f"{place}, sparse tensor {shown(sparse.values.name)}"
        raise ArtifactRefused(where, f"shape {_shape(sparse.dims)}, {made} bytes", f"at most {MADE_BYTES_MAX} bytes")


def constants(initializers: Iterable[TensorProto], nodes: Iterable[NodeProto]) -> dict[str, TensorProto]:
    """The values of a graph that no input changes, by name."""
    found = {tensor.name: tensor for tensor in initializers}
    for node in nodes:
        if node.op_type == "Constant" and len(node.output) == 1:
            for attribute in node.attribute:
                if (value := _constant(attribute)) is not None:
                    found[node.output[0]] = value
    return found


def _constant(attribute: AttributeProto) -> TensorProto | None:
    match attribute.name:
        case "value":
            return attribute.t
        case "value_int":
            return TensorProto(data_type=_T.INT64, int64_data=[attribute.i])
        case "value_ints":
            return TensorProto(data_type=_T.INT64, dims=[len(attribute.ints)], int64_data=attribute.ints)
    return None


def asks_for_little(node: NodeProto, known: Constants, place: str) -> None:
    """Raises ArtifactRefused where the node alone says that it makes more than MADE_BYTES_MAX, or turns without end."""
    if node.domain not in ("", "ai.onnx"):
        return
    if node.op_type == "Loop":
        _ends(node, known, place)
    elif (ask := _ASKS.get(node.op_type)) is not None and (dims := ask(node, known)) is not None:
        made = prod(max(0, dim) for dim in dims) * _BITS.get(_element(node, known), 8) // 8
        if made > MADE_BYTES_MAX:
            raise ArtifactRefused(place, f"{made} bytes of shape {_shape(dims)}", f"at most {MADE_BYTES_MAX} bytes")


def _given(node: NodeProto, place: int, known: Constants) -> list[int] | None:
    """The whole numbers that input `place` is known to hold."""
    tensor = known.get(node.input[place]) if len(node.input) > place else None
    if tensor is None or tensor.data_type not in _INTEGERS or prod(tensor.dims) > _DIMENSIONS_READ:
        return None
    width, raw = _INTEGERS[tensor.data_type], tensor.raw_data
    if len(raw) > width * _DIMENSIONS_READ:
        return None
    if raw:
        return [int.from_bytes(raw[at : at + width], "little", signed=True) for at in range(0, len(raw), width)]
    return list(tensor.int64_data or tensor.int32_data)


def _attribute(node: NodeProto, name: str) -> AttributeProto | None:
    return next((attribute for attribute in node.attribute if attribute.name == name), None)


def _shape_attribute(node: NodeProto, known: Constants) -> Sequence[int] | None:
    found = _attribute(node, "shape")
    return None if found is None else list(found.ints)


def _range(node: NodeProto, known: Constants) -> Sequence[int] | None:
    ends = [_given(node, place, known) for place in range(3)]
    if any(not end for end in ends):
        return None
    (start,), (limit,), (step,) = (end[:1] for end in ends if end)
    return None if step == 0 else [max(0, (limit - start) // step)]


def _depth(node: NodeProto, known: Constants) -> Sequence[int] | None:
    given = _given(node, 1, known)
    return None if not given else [given[0]]


_ASKS: Mapping[str, Callable[[NodeProto, Constants], Sequence[int] | None]] = {
    "ConstantOfShape": lambda node, known: _given(node, 0, known),
    "Expand": lambda node, known: _given(node, 1, known),
    "Tile": lambda node, known: _given(node, 1, known),
    "Pad": lambda node, known: None if (pads := _given(node, 1, known)) is None else [sum(map(abs, pads))],
    "OneHot": _depth,
    "Range": _range,
    "RandomNormal": _shape_attribute,
    "RandomUniform": _shape_attribute,
}


def _element(node: NodeProto, known: Constants) -> int:
    """The data type of what is made, as far as the node says it; 1 byte an element where it does not."""
    match node.op_type:
        case "ConstantOfShape":
            value = _attribute(node, "value")
            return int(value.t.data_type) if value is not None else int(_T.FLOAT)
        case "Range":
            return int(_T.INT64)
        case "RandomNormal" | "RandomUniform":
            dtype = _attribute(node, "dtype")
            return int(dtype.i) if dtype is not None else int(_T.FLOAT)
    return int(_T.INT8)


def _ends(node: NodeProto, known: Constants, place: str) -> None:
    trips = _given(node, 0, known)
    body = _attribute(node, "body")
    endless = not node.input or not node.input[0]
    if body is None or len(body.g.input) < 2 or not body.g.output or not (trips or endless):
        return
    count = (1 << 63) - 1 if endless or not trips else trips[0]
    if count > LOOP_TRIPS_MAX and not _decides(body.g):
        found = "no trip count" if endless else f"{count} turns"
        raise ArtifactRefused(
            place, f"{found} and a condition that never ends it", f"at most {LOOP_TRIPS_MAX} turns, or a condition"
        )


def _decides(body: GraphProto) -> bool:
    """Is the condition for another turn computed in the body? One that is only handed on never changes."""
    makers = {name: node for node in body.node for name in node.output}
    name = body.output[0].name
    for _ in range(len(body.node) + 1):
        maker = makers.get(name)
        if maker is None:
            return False  # the body's own input, a constant of it, or a value from outside
        if maker.op_type != "Identity" or not maker.input:
            return bool(maker.op_type != "Constant")
        name = maker.input[0]
    return False


def _shape(dims: Sequence[int]) -> str:
    return str(list(dims[:8])) if len(dims) <= 8 else f"{str(list(dims[:8]))[:-1]}, …]"
