"""Nothing of ours can unpickle: what is loaded from a file, a request or another process is data, never a program (P5)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT

OURS = ("plumbline.py", "service", "models", "monitoring", "loadtests", "docs")
MODULES = frozenset(
    {
        "pickle",
        "_pickle",
        "cPickle",
        "cloudpickle",
        "dill",
        "joblib",
        "shelve",
        "marshal",
        "torch",
        "yaml",
        "skops",
        "jsonpickle",
    }
    | {"multiprocessing", "numpy.lib.format", "sklearn.externals", "importlib.machinery"}
)
NAMES = frozenset(
    {"allow_pickle", "read_pickle", "to_pickle", "unsafe_load", "full_load", "weights_only", "find_class"}
)
BUILT_IN = frozenset({"eval", "exec", "compile", "__import__"})
LOOKED_AT = {  # imports of our own, from tables of constants; arrays that the run wrote itself, read without pickles
    "loadtests/drift/friedman.py": ["np.load()"],
    "loadtests/drift/targets/scenario.py": ["np.load()"],
    "service/commands/lazy.py": ["import_module()"],
    "service/sources.py": ["import_module()"],
}
_PEERS = "loadtests/bench/targets/"  # other systems as their documentation shows them, run in their own environments


def sources() -> list[Path]:
    found = [path for name in OURS for path in ([ROOT / name] if name.endswith(".py") else (ROOT / name).rglob("*.py"))]
    return [path for path in found if not str(path.relative_to(ROOT)).startswith(_PEERS)]


def ways(tree: ast.AST) -> Iterator[str]:
    """Everything in a module by which bytes could become code."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if _unpickles(alias.name))
            case ast.ImportFrom(module=str(module), names=names):
                yield from (module for _ in [0] if _unpickles(module))
                yield from (f"{module}.{alias.name}" for alias in names if alias.name in NAMES)
            case ast.Attribute(attr=name) | ast.keyword(arg=str(name)) if name in NAMES:
                yield name
            case ast.Call(func=ast.Name(id=name)) if name in BUILT_IN:
                yield f"{name}()"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="np"), attr="load" | "fromfile" | "memmap" as name)):
                yield f"np.{name}()"
            case ast.Call(func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"), args=[given, *_]):
                if not isinstance(given, ast.Constant) or _unpickles(str(given.value)):
                    yield "import_module()"


def _unpickles(module: str) -> bool:
    return module in MODULES or module.partition(".")[0] in MODULES


def test_no_module_of_ours_has_a_way_to_unpickle() -> None:
    found = {
        str(path.relative_to(ROOT)): names
        for path in sources()
        if (names := sorted(ways(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert found == LOOKED_AT
    assert len(sources()) > 150


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import joblib.numpy_pickle as j",
        "from torch import load",
        "from shelve import open",
        "import marshal",
        "np.load(path, allow_pickle=True)",
        "np.load(path)",
        "pd.read_pickle(path)",
        "yaml.unsafe_load(text)",
        "import yaml",
        "import cloudpickle",
        "eval(text)",
        "exec(text)",
        "importlib.import_module(name)",
        "from multiprocessing import Pipe",
    ],
)
def test_each_way_is_noticed(line: str) -> None:
    assert list(ways(ast.parse(line)))
