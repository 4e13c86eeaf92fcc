"""A table of versions that must never be served: hostile, broken, or something else under the name of a model.

Each entry makes the files of a version that agrees with its own manifest, so that only inspection and trial stand between it
and the runtime; `expected` is a part of the sentence that refuses it.
"""

import gzip
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.inspect import CALLS_MAX, DEPTH_MAX, IR_MAX, NODES_MAX, OPSET_MAX
from models.manifest import CONTRACT, MODEL
from tests.hostile import graphs as g
from tests.onnx_models import image_contract, mixed, mixed_contract

HUGE = [g.BIG, g.BIG]
MEMORY = "trial_memory_bytes_max"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
WIDE = g.plain_contract().replace(b"[-1, 1]", b"[-1, 1, 1000000000000]", 1)


@dataclass(frozen=True)
class Hostile:
    """`model`: the bytes of its graph; `contract` in JSON; `inspected`: no run is needed to refuse it."""

    name: str
    model: Callable[[], bytes]
    expected: str
    contract: bytes = b""
    inspected: bool = True

    def files(self) -> dict[str, bytes]:
        return {MODEL: self.model(), CONTRACT: self.contract or g.plain_contract()}


def graph_of(name: str, expected: str, make: Callable[[], bytes]) -> Hostile:
    """Refused by what the graph says of itself."""
    return Hostile(name, make, expected)


def run_of(name: str, expected: str, make: Callable[[], bytes], contract: bytes = b"") -> Hostile:
    """Refused in the trial."""
    return Hostile(name, make, expected, contract, inspected=False)


def tensor_of(name: str, expected: str, **fields: Any) -> Hostile:
    """One whose initializer is wrong."""
    return Hostile(name, g.wrong_initializer(**fields), expected)


OUTSIDE = [
    graph_of(
        "external data in an initializer",
        "external data",
        g.changed(lambda m: m.graph.initializer.append(g.external())),
    ),
    graph_of("external data in a constant", "external data", g.adding("Constant", value=g.external())),
    graph_of("external data in a sparse initializer", "external data", g.changed(g.in_a_sparse_initializer)),
    graph_of(
        "external data in a sparse constant", "external data", g.adding("Constant", sparse_value=g.sparse(g.external()))
    ),
    graph_of("external data in a subgraph", "external data", g.adding("If", "x", then_branch=g.body(g.external()))),
    graph_of("external data in a function", "external data", g.changed(g.in_a_function)),
    graph_of(
        "external data in a training graph",
        "external data",
        g.changed(lambda m: m.training_info.add().algorithm.CopyFrom(g.body(g.external()))),
    ),
    graph_of(
        "external data beside it",
        "'contract.json'",
        g.changed(lambda m: m.graph.initializer.append(g.external(place="contract.json"))),
    ),
    graph_of("operator of another domain", "domain 'com.evil'", g.adding("Run", "x", domain="com.evil")),
    graph_of("domain imported", "domain 'com.evil'", g.changed(g.imported)),
    graph_of(
        "context of a provider",
        "operator EPContext",
        g.adding("EPContext", "x", domain="com.microsoft", ep_cache_context="/x"),
    ),
    graph_of(
        "opset too new",
        f"opset {OPSET_MAX + 1}",
        g.changed(lambda m: setattr(m.opset_import[0], "version", OPSET_MAX + 1)),
    ),
    graph_of(
        "format too new", f"ir_version: found {IR_MAX + 1}", g.changed(lambda m: setattr(m, "ir_version", IR_MAX + 1))
    ),
    graph_of("fields that ONNX has not", "fields that ONNX has not", g.unknown_fields),
    graph_of("the runtime's own format", "ONNX Runtime's own format", g.own_format_truly),
    graph_of("both formats at once", "ONNX Runtime's own format", g.own_format),
]

ABSURD = [
    graph_of(
        "160 GB of a constant shape",
        "160000000000 bytes",
        g.graph(*g.made("ConstantOfShape", "shape"), constants={"shape": HUGE}),
    ),
    graph_of(
        "160 GB of an expanded number",
        "'bomb' (Expand)",
        g.graph(*g.made("Expand", "x", "shape"), constants={"shape": HUGE}),
    ),
    graph_of(
        "a range without end",
        "'bomb' (Range)",
        g.graph(*g.made("Range", "a", "b", "c"), constants={"a": [0], "b": [1 << 62], "c": [1]}),
    ),
    graph_of("2⁶² turns", "4611686018427387904 turns", g.loop(1 << 62)),
    graph_of("1 000 graphs deep", "nested at least 1000 deep", g.deep(1_000)),
    graph_of("some graphs too deep", f"nested deeper than {DEPTH_MAX}", g.deep(DEPTH_MAX + 1)),
    graph_of("a function that calls itself", "calls without end", g.calling(g.function("F0", "F0"))),
    graph_of(
        "two functions that call each other",
        "calls without end",
        g.calling(g.function("F0", "F1"), g.function("F1", "F0")),
    ),
    graph_of("10⁹ nodes by functions of functions", "with all functions in place", g.chain(9, 10)),
    graph_of("functions that crash the runtime", f"called more than {CALLS_MAX} deep", g.chain(5_000)),
    graph_of("too many nodes", f"more than {NODES_MAX} nodes", g.many_nodes),
    graph_of("too many attributes", "1001 attributes", g.changed(g.wide_node)),
    tensor_of(
        "tensor larger than its bytes", "4 bytes for shape [200000, 200000]", data_type=1, dims=HUGE, raw_data=b"1234"
    ),
    tensor_of("tensor smaller than its bytes", "2 numbers for shape [1]", data_type=1, dims=[1], float_data=[1, 2]),
    tensor_of("tensor of negative size", "shape [-1, -1]", data_type=1, dims=[-1, -1], float_data=[1]),
    tensor_of("tensor of an unknown type", "data type 99", data_type=99, dims=[1], raw_data=b"1"),
    graph_of("sparse tensor of 4 TB", "4000000000000 bytes", g.changed(g.much_of_little)),
]

RENAMED = [
    graph_of("pickle", "a pickle (protocol 4)", lambda: pickle.dumps({"a": [1] * 99})),
    graph_of("old pickle", "a pickle (protocol 0 or 1)", lambda: pickle.dumps({"a": [1] * 99}, protocol=0)),
    graph_of("torch archive", "as torch.save writes it", g.zipped("archive/data.pkl")),
    graph_of("NumPy archive", "a zip archive of NumPy arrays", g.numpy_archive),
    graph_of("zip", "a zip archive", g.zipped("readme.txt")),
    graph_of("gzip of a model", "a gzip file", lambda: gzip.compress(mixed())),
    graph_of("HTML page", "an HTML page", lambda: b"<!DOCTYPE html><html><body>404 Not Found</body></html>"),
    graph_of("Git LFS pointer", "a Git LFS pointer", lambda: LFS),
    graph_of("JSON", "found JSON", lambda: b'{"error": "not found"}'),
    graph_of("nothing", "an empty file", lambda: b""),
]

CUT = [
    Hostile(f"cut after {share}/64", g.cut(share), "not loading it", mixed_contract().encode()) for share in range(64)
]

TRIED = [
    run_of("160 GB of a computed shape", MEMORY, g.graph(*g.computed_shape(), constants={"big": HUGE})),
    run_of(
        "160 GB expanded to a computed shape", MEMORY, g.graph(*g.computed_shape("Expand"), constants={"big": HUGE})
    ),
    run_of(
        "as large as its values say",
        MEMORY,
        g.graph(*g.of_its_values(), constants={"big": [10**11]}),
        g.column_contract(),
    ),
    run_of("a thousand million strings", MEMORY, g.graph(*g.texts(), constants={"big": [30_000, 30_000]})),
    run_of("2⁶² turns and a condition that is always true", "CPU time", g.loop(1 << 62, ends=True)),
    run_of("contract that is none", "contract.json", g.changed(lambda m: None), b"[]"),
    run_of("contract nested without end", "contract.json", g.changed(lambda m: None), b'{"z":' + b"[" * 100_000),
    run_of("contract of another graph", "as in contract.json", g.changed(lambda m: None), image_contract().encode()),
    run_of("contract of other columns", "those of contract.json", mixed, g.column_contract()),
    run_of("input of 4 TB", "at most 268435456 elements", g.changed(g.wide_input), WIDE),
    run_of("NaN and nothing else", "NaN and nothing else", g.not_a_number, g.column_contract()),
    run_of("fewer answers than rows", "a row of answers a row", g.fewer_rows, g.column_contract()),
]

TABLE = [*OUTSIDE, *ABSURD, *RENAMED, *CUT, *TRIED]
