"""In which interpreter does a system run: the project's, or one of its own made from pinned versions."""

import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from loadtests.bench.server import finish

INSTALL_DEADLINE_S = 600  # a first download of the wheels over a slow line


def place(requirements: Sequence[str], folder: Path) -> Path:
    """Where the environment with these requirements is or would be."""
    key = sha256("\n".join(requirements).encode()).hexdigest()[:12]
    return folder / f"venv-{key}"


def made(requirements: Sequence[str], folder: Path) -> bool:
    return not requirements or (place(requirements, folder) / "complete").exists()


def interpreter(requirements: Sequence[str], folder: Path) -> Path:
    """The python that has the requirements; made under `folder` when it is not there yet. Raises SystemUnfit."""
    if not requirements:
        return Path(sys.executable)
    where = place(requirements, folder)
    python = where / "bin/python"
    if not made(requirements, folder):
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(where))
        _uv("pip", "install", "--quiet", "--python", str(python), *requirements)
        (where / "complete").touch()
    return python


def packages(requirements: Sequence[str], folder: Path) -> list[str]:
    """Everything that is in the environment, `name==version`, one a line."""
    frozen = _uv("pip", "freeze", "--quiet", "--python", str(interpreter(requirements, folder))).splitlines()
    return [line for line in frozen if not line.startswith("-e ")]  # the project itself, and where this machine has it


def _uv(*words: str) -> str:
    return finish("uv", [sys.executable, "-m", "uv", *words], {}, INSTALL_DEADLINE_S)
