"""How deep are the graphs nested in bytes that protobuf refuses to follow? It gives up at 100 messages and does not say so.

Law: never recursive, never more than FIELDS_MAX fields: it only explains a refusal that stands already.
"""

FIELDS_MAX = 1_000_000

# onnx.proto: in which fields of a message lies which message on the way to a graph
_INTO: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node"},
    "node": {5: "attribute"},
    "attribute": {6: "graph", 11: "graph"},
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def depth(data: bytes) -> int:
    """Graphs inside graphs, the outermost being 0; as far as the bytes can be followed."""
    waiting = [("model", 0, len(data), -1)]
    deepest = fields = 0
    while waiting and fields < FIELDS_MAX:
        message, at, end, level = waiting.pop()
        deepest = max(deepest, level)
        into = _INTO[message]
        while at < end and fields < FIELDS_MAX:
            fields += 1
            tag, at = _varint(data, at, end)
            number, kind = tag >> 3, tag & 7
            if kind == _BYTES:
                size, at = _varint(data, at, end)
                if (inner := into.get(number)) is not None and at + size <= end:
                    waiting.append((inner, at, at + size, level + (inner == "graph")))
                at += size
            elif kind == _VARINT:
                _, at = _varint(data, at, end)
            elif kind in (_FIXED64, _FIXED32):
                at += 8 if kind == _FIXED64 else 4
            else:
                break  # a group, which ONNX has not: what follows cannot be followed
    return deepest


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number and the place behind it; the end where it does not end."""
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return value, end
