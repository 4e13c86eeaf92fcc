"""Where does a client run whose dependencies are not ours? In an environment of its own, made once from a lock with hashes.

It is kept in the tests' cache under the lock's digest; a stamp is written last, so one that was interrupted is made again.
"""

import fcntl
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from tests.integration.images import CACHE

LOCKS = Path(__file__).resolve().parent / "clients"
INSTALL_DEADLINE_S = 800  # some 300 MB of wheels, on a slow line


def environment_of(client: str) -> Path:
    """The `bin` folder of the environment of `clients/<client>.lock`."""
    lock = LOCKS / f"{client}.lock"
    known = sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = CACHE / f"{client}-{known}"
    stamp = place / "installed"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{client}-{known}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # another run may be making it
        if not stamp.exists():
            _run([sys.executable, "-m", "venv", "--clear", str(place)])
            pip = [str(place / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--quiet", "--quiet"]
            _run([*pip, "install", "--require-hashes", "--no-deps", "--requirement", str(lock)])
            stamp.touch()
    return place / "bin"


def _run(command: list[str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_DEADLINE_S, check=False)
    assert ran.returncode == 0, f"{command} ended with {ran.returncode}\n{(ran.stdout + ran.stderr)[-2000:]}"
