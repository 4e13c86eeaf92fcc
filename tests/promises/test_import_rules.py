"""Who may import whom: every contract in pyproject.toml refuses the violation that it was written against.

A contract that nothing can break is worth nothing, so each is seen to fail on a planted line in a copy of the tree.
"""

import ast
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from tests.processes import ROOT

pytestmark = pytest.mark.slow

PACKAGES = ("models", "service", "monitoring", "loadtests")
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
NAMES = {contract["id"]: contract["name"] for contract in CONFIG["contracts"]}
CORE, WORLD = next((c["source_modules"], c["forbidden_modules"]) for c in CONFIG["contracts"] if c["id"] == "core")

VIOLATIONS = [
    ("models", "models/lock.py", "import service.featurelog.record"),
    ("models", "models/planted.py", "from monitoring import planted"),
    ("featurelog", "service/featurelog/planted.py", "import service.http"),
    ("featurelog", "service/featurelog/planted.py", "import monitoring"),
    ("readers", "monitoring/planted.py", "import service.http"),
    ("readers", "loadtests/planted.py", "from service import http"),
    ("apart", "monitoring/planted.py", "import loadtests"),
    ("service", "service/planted.py", "import monitoring"),
    ("service", "service/featurelog/planted.py", "import loadtests"),
    ("behind", "service/batching.py", "from service.http.answer import Answer"),
    ("behind", "service/drain.py", "import service.http.cycle"),
    ("behind", "service/routing.py", "import service.catalogue"),
    ("edge", "service/http/admission.py", "from service.predict import Ask"),
    ("edge", "service/http/planted.py", "import service.batching"),
    ("bentoml", "service/planted.py", "import bentoml"),
    ("bentoml", "service/http/planted.py", "from _bentoml_sdk import Service"),
    ("onnxruntime", "service/planted.py", "import onnxruntime"),
    ("onnxruntime", "models/registry.py", "from onnxruntime import InferenceSession"),
    ("signing", "service/sources.py", "from model_signing import signing"),
    ("otlp", "service/tracing.py", "from opentelemetry.sdk.trace import ReadableSpan"),
    ("otlp", "monitoring/planted.py", "import opentelemetry.trace"),
    ("query", "service/predict.py", "from service.featurelog import view"),
    ("query", "monitoring/intake.py", "import duckdb"),
    ("sidecar", "monitoring/planted.py", "from models import session"),
    ("core", "models/contract.py", "import os"),
    ("core", "service/featurelog/framing.py", "import time"),
    ("core", "service/featurelog/segments.py", "from models import registry"),
]


def _place(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of everything that the contracts look at."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=_all_but_code)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in (*PACKAGES, "service/featurelog"):
        (tmp_path / package / "planted.py").write_text('"""Nothing yet."""\n')
    return tmp_path


def test_the_tree_as_it_is_keeps_every_contract(tree: Path) -> None:
    assert broken(tree) == set()


@pytest.mark.parametrize(("contract", "file", "line"), VIOLATIONS, ids=[f"{c}-{f}" for c, f, _ in VIOLATIONS])
def test_each_contract_refuses_what_it_was_written_against(tree: Path, contract: str, file: str, line: str) -> None:
    place = tree / file
    place.write_text((place.read_text() if place.exists() else "") + f"\n{line}\n")
    assert contract in broken(tree)


def test_every_contract_has_a_violation_in_the_table() -> None:
    assert set(NAMES) == {contract for contract, _, _ in VIOLATIONS}


@pytest.mark.parametrize("path", sorted(p for name in PACKAGES for p in (ROOT / name).rglob("__init__.py")), ids=_place)
def test_a_package_file_holds_a_docstring_and_nothing_else(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    assert [type(node) for node in body] in ([], [ast.Expr]), f"{path}: importing the package must import nothing"


def test_the_front_door_leaves_the_frameworks_to_their_files() -> None:
    imported = set(_imports(ast.parse((ROOT / "plumbline.py").read_text())))
    assert not imported & {"bentoml", "_bentoml_sdk", "_bentoml_impl", "onnxruntime"}


@pytest.mark.parametrize("module", CORE)
def test_the_core_asks_for_no_file_no_clock_and_no_hash_seed(module: str) -> None:
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    assert list(_impure_calls(tree)) == []


def test_what_is_pure_is_named_core_and_so_stays_pure() -> None:
    graph = grimp.build_graph("models", "service", "monitoring", include_external_packages=True, cache_dir=None)
    ours = {module for module in graph.modules if (ROOT / f"{module.replace('.', '/')}.py").exists()}
    pure = {module for module in ours if not graph.find_upstream_modules(module) & set(WORLD)}
    assert pure == set(CORE), "list it in (or take it off) the contract `core` in pyproject.toml"


@pytest.mark.parametrize("call", ["open('x')", "print(1)", "datetime.now(UTC)", "date.today()", "hash('a')", "input()"])
def test_an_impure_call_is_seen(call: str) -> None:
    assert list(_impure_calls(ast.parse(f"x = {call}")))


def broken(tree: Path) -> set[str]:
    """The ids of the contracts that lint-imports finds broken in `tree`; its exit code must say the same."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    run = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=60, check=False)
    found = {key for key, name in NAMES.items() if f"{name} BROKEN" in run.stdout}
    assert run.returncode == (1 if found else 0), run.stdout + run.stderr
    return found


def _all_but_code(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if not name.endswith(".py") and not (Path(folder) / name).is_dir()}


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


def _impure_calls(tree: ast.AST) -> Iterator[str]:
    """Calls that reach the world without an import: built-in functions, and the clock behind `datetime`."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Name(id="open" | "print" | "input" | "hash" | "exec" | "eval" | "__import__" as name)
            ):
                yield f"line {node.lineno}: {name}()"
            case ast.Call(func=ast.Attribute(attr="now" | "today" | "utcnow" as name)):
                yield f"line {node.lineno}: .{name}()"
