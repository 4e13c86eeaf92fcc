"""A real OCI registry (Debian's docker-registry) on a free loopback port, its storage in a folder of the test."""

import json
import shutil
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.processes import Process, environment, free_port

COMMAND = "docker-registry"
READY_S = 20.0
USER, PASSWORD = "reader", "sesame"
HTPASSWD = (
    f"{USER}:$2b$04$xM8uTUh9QiH2yvahfUuqF.SvQLKRt/CX9XER/Ij4/u0uJUKwSOY4W\n"  # bcrypt of PASSWORD, at the least cost
)
CONFIG = """
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: "%s"}, delete: {enabled: true}}
http: {addr: "%s"}
"""


@dataclass(frozen=True, slots=True)
class OciRegistry:
    """Where it listens and where its bytes lie."""

    host: str
    storage: Path

    def source(self, repository: str, moving: str = "") -> str:
        """`oci:HOST/REPOSITORY:TAG`."""
        return f"oci:{self.host}/{repository}{f':{moving}' if moving else ''}"

    def blob(self, digest: str) -> Path:
        """The file in which the registry keeps a blob or manifest."""
        hexes = digest.removeprefix("sha256:")
        return self.storage / "docker/registry/v2/blobs/sha256" / hexes[:2] / hexes / "data"


def missing() -> bool:
    """Whether this machine has no docker-registry; `make test` installs it."""
    return shutil.which(COMMAND) is None


@contextmanager
def oci_registry(place: Path, *, auth: str = "", port: int | None = None) -> Iterator[OciRegistry]:
    """Runs until left; `auth` is a block of its configuration."""
    place.mkdir(exist_ok=True)
    host = f"127.0.0.1:{port or free_port()}"
    config = place / "config.yml"
    config.write_text(CONFIG % (place / "storage", host) + auth)
    with Process([COMMAND, "serve", str(config)], env=environment(OTEL_TRACES_EXPORTER="none")) as process:
        process.wait_until(lambda: _answers(host), READY_S, "registry ready")
        yield OciRegistry(host, place / "storage")


def with_passwords(place: Path) -> str:
    """The block of configuration that lets only USER in."""
    place.mkdir(exist_ok=True)
    (place / "htpasswd").write_text(HTPASSWD)
    return f'auth: {{htpasswd: {{realm: test, path: "{place / "htpasswd"}"}}}}\n'


def auth_json(host: str, user: str = USER, password: str = PASSWORD) -> str:
    """As `docker login` writes it."""
    return json.dumps({"auths": {host: {"auth": b64encode(f"{user}:{password}".encode()).decode()}}})


def _answers(host: str) -> bool:
    try:
        return httpx.get(f"http://{host}/v2/", trust_env=False).status_code in (200, 401)
    except httpx.HTTPError:
        return False
