"""What is a system of the comparison: how is it started, how is it asked, what does it need? None is named here (`peers/`).

Words in braces are filled in by the bench, in commands, paths and environment: {python} {bin} the system's interpreter and its
folder, {port}, {targets} the folder of the servers, {model} the ONNX file, {name} the model's name, {train} its training data
(CSV, label column `label`), {home} a folder of the system's own, {feed} the request as tensors, {seconds}.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from loadtests.bench.wires import Ask, Read

ONNX = ("onnxruntime==1.31.1", "numpy==2.4.6")  # the versions of requirements.lock: the same runtime under every system
UVICORN = ("uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0")


class Form(StrEnum):
    """How rows are said; what a system has no words for, it is not asked in."""

    NAMED = "JSON, rows by feature name"
    LISTED = "JSON, rows as lists"
    V2 = "V2 JSON"
    V2_BINARY = "V2 binary"
    TENSORS = "tensors in memory"


@dataclass(frozen=True, slots=True)
class Way:
    """One form in one system's words."""

    path: str
    ask: Ask
    read: Read


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """`requirements` empty means that the project's own environment has all it needs.

    `prepare`: commands run once a model, before the first start, where the model has training data. `ready`: a path that
    answers 200 when it can be asked; empty for a program that is no server and prints its measurement itself. `start_s`: about
    how long a start takes, for the estimate only.
    """

    name: str
    note: str
    argv: tuple[str, ...]
    ways: Mapping[Form, Way]
    ready: str = "/"
    requirements: tuple[str, ...] = ()
    prepare: tuple[tuple[str, ...], ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    start_s: float = 1.5


def uvicorn(app: str) -> tuple[str, ...]:
    """The command of a server that is an ASGI application in `targets/`."""
    return ("{python}", "-m", "uvicorn", app, "--app-dir", "{targets}", "--port", "{port}", "--no-access-log")
