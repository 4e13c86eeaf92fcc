"""In which interpreter does a peer run: the project's, or one of its own made from pinned versions."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from loadtests.bench.peers import Peer

INSTALL_DEADLINE_S = 600  # a first download of the wheels over a slow line


def interpreter(peer: Peer, folder: Path) -> Path:
    """The python that has the peer's requirements; made under `folder` when it is not there yet."""
    if not peer.requirements:
        return Path(sys.executable)
    key = sha256("\n".join(peer.requirements).encode()).hexdigest()[:12]
    place = folder / f"venv-{key}"
    if not (place / "complete").exists():
        uv = [sys.executable, "-m", "uv"]
        _run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place)])
        _run([*uv, "pip", "install", "--quiet", "--python", str(place / "bin/python"), *peer.requirements])
        (place / "complete").touch()
    return place / "bin/python"


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, timeout=INSTALL_DEADLINE_S)
