"""What is a file that calls itself a graph and is none? Told by its bytes, so that who renamed it knows what was found.

Law: `foreign` never names an ONNX model: each of its marks is one that protobuf does not give to the first field of a model.
"""

import re

_SEARCHED = 1 << 16  # bytes at both ends in which the members of an archive are looked for
_MARKS: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ORTM", "a graph in ONNX Runtime's own format"),  # the runtime would load it and never look at the protobuf
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ\x00", "an xz file"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"GGUF", "a GGUF model"),
    (0, b"\x7fELF", "a program"),
    (0, b"%PDF", "a PDF"),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the file that it points to"),
)
_ZIPS = (
    (b"data.pkl", "a zip archive with a pickle, as torch.save writes it"),
    (b".npy", "a zip archive of NumPy arrays"),
    (b"META-INF", "a zip archive of Java classes"),
)
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_TEXT_PICKLE = re.compile(
    rb"(?s)[(c\]}ilq].*\.\s*\Z"
)  # protocols 0 and 1 have no mark: they begin anyhow and end in a stop
_PAGE = re.compile(rb"(?i)\s*<(!doctype html|html|head|body)")


def foreign(data: bytes) -> str | None:
    """What these bytes are without doubt; None where they may be a model."""
    if (found := _PICKLE.match(data)) is not None:
        return f"a pickle (protocol {found[0][1]})"
    if data.startswith(b"PK\x03\x04"):
        ends = data[:_SEARCHED] + data[-_SEARCHED:]
        return next((what for mark, what in _ZIPS if mark in ends), "a zip archive")
    return next((what for at, mark, what in _MARKS if data.startswith(mark, at)), None)


def likely(data: bytes) -> str:
    """What bytes are that protobuf could not read as a model."""
    if _PAGE.match(data):
        return "an HTML page"
    head = data[:_SEARCHED]
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data):
        return "a safetensors file"
    if _TEXT_PICKLE.match(data) and data[:1] not in b"{[<" and (b"\n" in head or b"q\x00" in head):
        return "what looks like a pickle (protocol 0 or 1)"
    if head.lstrip()[:1] in (b"{", b"[") and head.isascii():
        return "JSON"
    if head.lstrip()[:1] == b"<":
        return "an XML or HTML page"
    if head.isascii() and head.decode("ascii").replace("\n", "").replace("\r", "").replace("\t", "").isprintable():
        return "text"
    return "bytes that are no ONNX protobuf, or a part of one"
