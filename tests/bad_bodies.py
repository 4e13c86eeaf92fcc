"""A hundred bodies that a service must refuse, or survive, without keeping memory: what was thought of to hurt it."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MIB = 1 << 20
LARGEST = 16 * MIB - 1024  # just below the limit of a body
V1, V2, FEEDBACK, NATIVE = (
    "/v1/models/payments:predict",
    "/v2/models/payments/infer",
    "/v1/models/payments:feedback",
    "/predict",
)
JSON = "application/json"


@dataclass(frozen=True)
class Bad:
    """One request; `chunked`: its length is not told."""

    name: str
    path: str
    body: bytes
    encoding: str = ""
    binary_after: int | None = None
    chunked: bool = False


def bodies() -> Iterator[Bad]:
    """They differ in what they hurt: the parser, the checks behind it, the unpacker, the error that tells of them."""
    yield from _grammar()
    yield from _repeated()
    yield from _long()
    yield from _tensors()
    yield from _binary()
    yield from _packed()


def _grammar() -> Iterator[Bad]:
    broken = [
        b"",
        b"{",
        b"[",
        b"nul",
        b"{}",
        b"[]",
        b"0",
        b'""',
        b'{"instances"',
        b'{"instances":[NaN]}',
        b'{"instances":[Infinity]}',
        b"\xff\xfe{}",
        b'{"instances":["\xff"]}',
        b'{"instances":["\\ud800"]}',
        b'{"instances":[1e999999999]}',
        b'{"instances":[[1]],"inputs":[[1]]}',
        b'{"instances":[]} {"instances":[]}',
    ]
    for path in (V1, V2):
        for number, body in enumerate(broken):
            yield Bad(f"broken {number} to {path}", path, body)


def _repeated() -> Iterator[Bad]:
    units = [
        b"1",
        b"0.5",
        b"null",
        b"[]",
        b"{}",
        b'""',
        b"[[]]",
        b'{"a":1}',
        b"[" * 60 + b"]" * 60,
        b'[1,1,1,true,"a"]',
    ]
    for unit in units:
        many = (unit + b",") * (LARGEST // (len(unit) + 1)) + unit
        yield Bad(f"16 MiB of {unit[:16]!r} as rows", V1, b'{"instances":[' + many + b"]}")
    for unit in units[:5]:
        many = (unit + b",") * (LARGEST // (len(unit) + 1)) + unit
        yield Bad(f"16 MiB of {unit!r} as a column", V1, b'{"inputs":{"amount":[' + many + b"]}}")
        tensor = b'{"inputs":[{"name":"amount","shape":[1],"datatype":"FP64","data":[' + many + b"]}]}"
        yield Bad(f"16 MiB of {unit!r} as a tensor", V2, tensor)
        yield Bad(f"16 MiB of {unit!r} as labels", FEEDBACK, b"[" + many + b"]")
        yield Bad(f"16 MiB of {unit!r} for BentoML", NATIVE, b'{"model":"payments","instances":[' + many + b"]}")
    yield Bad("brackets without end", V1, b'{"instances":' + b"[" * LARGEST)
    yield Bad("objects without end", V1, b'{"instances":' + b'{"a":' * (LARGEST // 5))
    yield Bad("rows in chunks", V1, b'{"instances":[' + b"1," * (LARGEST // 2) + b"1]}", chunked=True)


def _long() -> Iterator[Bad]:
    long = b"x" * LARGEST
    yield Bad("one long text", V1, b'{"instances":[{"country":"' + long + b'"}]}')
    yield Bad("one long name", V1, b'{"instances":[{"' + long + b'":1}]}')
    yield Bad("one long column", V1, b'{"inputs":{"' + long + b'":[1]}}')
    yield Bad("one long integer", V1, b'{"instances":[[' + b"9" * LARGEST + b"]]}")
    yield Bad("one long fraction", V1, b'{"instances":[[0.' + b"3" * LARGEST + b"]]}")
    yield Bad("integers of 4 000 digits", V1, b'{"instances":[[' + (b"9" * 4000 + b",") * 4000 + b"1]]}")
    yield Bad("escapes", V1, b'{"instances":["' + b"\\u0000" * (LARGEST // 6) + b'"]}')
    yield Bad("blanks", V1, b" " * LARGEST)
    yield Bad(
        "a long name of a tensor", V2, b'{"inputs":[{"name":"' + long + b'","shape":[1],"datatype":"FP32","data":[1]}]}'
    )
    yield Bad("a long datatype", V2, b'{"inputs":[{"name":"a","shape":[1],"datatype":"' + long + b'","data":[1]}]}')
    yield Bad("a long id", V2, b'{"id":"' + long + b'","inputs":[]}')
    yield Bad("a long model", NATIVE, b'{"model":"' + long + b'","instances":[]}')
    yield Bad("a long member of a label", FEEDBACK, b'{"' + long + b'":1}')
    names = b",".join(b'"%x":1' % number for number in range(1_200_000))
    yield Bad("a million names", V1, b'{"instances":[{' + names + b"}]}")
    yield Bad("a million members", V1, b"{" + names + b',"instances":[[1]]}')
    yield Bad("a million parameters", V2, b'{"parameters":{' + names + b'},"inputs":[]}')


def _tensors() -> Iterator[Bad]:
    def of(shape: bytes, datatype: bytes = b"FP64", data: bytes = b"[1]") -> bytes:
        return (
            b'{"inputs":[{"name":"amount","shape":' + shape + b',"datatype":"' + datatype + b'","data":' + data + b"}]}"
        )

    yield Bad("a shape of 2^62", V2, of(b"[4611686018427387904]"))
    yield Bad("a shape of 32 sizes of 2^62", V2, of(b"[" + b",".join([b"4611686018427387904"] * 32) + b"]"))
    yield Bad("a shape of a million sizes", V2, of(b"[" + b"1," * 1_000_000 + b"1]"))
    yield Bad("a negative shape", V2, of(b"[-1]"))
    yield Bad("no shape", V2, of(b"[]"))
    yield Bad("data nested 500 deep", V2, of(b"[1]", data=b"[" * 500 + b"1" + b"]" * 500))
    yield Bad("ragged data", V2, of(b"[2,2]", data=b"[[1,2],[3]]"))
    one = b'{"name":"amount","shape":[1],"datatype":"FP64","data":[1]}'
    yield Bad("200 000 tensors", V2, b'{"inputs":[' + (one + b",") * 200_000 + one + b"]}")
    yield Bad("200 000 outputs", V2, b'{"inputs":[],"outputs":[' + b'{"name":"a"},' * 200_000 + b'{"name":"a"}]}')


def _binary() -> Iterator[Bad]:
    def of(size: int, shape: int, datatype: str, data: bytes) -> tuple[bytes, int]:
        head = (
            f'{{"inputs":[{{"name":"amount","shape":[{shape}],"datatype":"{datatype}",'
            f'"parameters":{{"binary_data_size":{size}}}}}]}}'
        ).encode()
        return head + data, len(head)

    for name, size, shape, datatype, data in (
        ("more than there is", 10**15, 10**14, "FP64", b"12345678"),
        ("a shape larger than its data", 8, 10**15, "FP64", b"12345678"),
        ("many empty texts", 15 * MIB, 4 * MIB, "BYTES", b"\0" * (15 * MIB)),
        ("a text longer than the data", 8, 1, "BYTES", b"\xff\xff\xff\xff1234"),
        ("numbers for nobody", 15 * MIB, 15 * MIB // 8, "FP64", b"\0" * (15 * MIB)),
    ):
        body, head = of(size, shape, datatype, data)
        yield Bad(f"binary: {name}", V2, body, binary_after=head)
    yield Bad("binary: a head longer than the body", V2, b"{}", binary_after=10**17)


def _packed() -> Iterator[Bad]:
    zeros = gzip.compress(b"0" * 200 * MIB)
    yield Bad("gzip, 1 000 : 1", V1, zeros, "gzip")
    yield Bad("gzip in gzip", V1, gzip.compress(zeros), "gzip")
    yield Bad("deflate, 1 000 : 1", V1, zlib.compress(b"0" * 200 * MIB), "deflate")
    yield Bad(
        "gzip of 16 MiB of rows", V1, gzip.compress(b'{"instances":[' + b"{}," * (LARGEST // 3) + b"{}]}"), "gzip"
    )
    yield Bad("gzip, cut off", V1, zeros[:1000], "gzip")
    yield Bad("gzip, damaged", V1, b"\x1f\x8b" + b"\xff" * MIB, "gzip")
    yield Bad("gzip, with something after it", V1, gzip.compress(b"{}") + b"x" * LARGEST, "gzip")
    yield Bad("not gzip", V1, b"{}" * MIB, "gzip")
    yield Bad("brotli", V1, b"x" * MIB, "br")
    yield Bad("17 MiB", V1, b" " * (17 * MIB))
    yield Bad("64 MiB in chunks", V1, b" " * (64 * MIB), chunked=True)
