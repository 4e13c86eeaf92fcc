"""How is the image built without a Docker engine, and run as no root on a root file system that is read-only?

buildah builds it on a Debian made by debootstrap (kept in the cache: forty seconds saved a run). The container is a mount
namespace of its own: the image's root bound read-only, a tmpfs on /tmp, the volume bound where the image declares it.
"""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.processes import ROOT, Process

SUITE = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plumbline-tests"
COMMANDS = ("buildah", "debootstrap", "unshare", "setpriv", "chroot", "tar")
BUILD_DEADLINE_S = 900  # debootstrap, then about 300 MB of wheels over a slow line
LENT = (
    (Path("/etc/pip.conf"), "/etc/pip.conf"),
    (Path.home() / ".config/pip/pip.conf", "/root/.config/pip/pip.conf"),
    (Path("/etc/ssl/certs/ca-certificates.crt"), "/etc/ssl/certs/ca-certificates.crt"),
)


@dataclass(frozen=True, slots=True)
class Image:
    """What the Dockerfile made: its root as a folder, and its configuration in OCI's words."""

    root: Path
    config: dict[str, object]

    @property
    def user(self) -> str:
        return str(self.config["User"])

    @property
    def volume(self) -> str:
        (place,) = self.config["Volumes"]  # type: ignore[misc]
        return str(place)

    @property
    def command(self) -> list[str]:
        return [*self.config["Entrypoint"], *self.config["Cmd"]]  # type: ignore[misc]


def missing() -> list[str]:
    """What this machine lacks to build and run the image; empty when nothing."""
    lacks = [f"the command {name}" for name in COMMANDS if shutil.which(name, path=_path()) is None]
    return lacks if os.geteuid() == 0 else ["root", *lacks]


@contextmanager
def built(folder: Path) -> Iterator[Image]:
    """The image of this tree; its storage is in `folder` and goes with it."""
    buildah = Buildah(folder / "storage")
    base = buildah.commit(_base())
    try:
        made_of = ("--pull=never", "--format", "docker", "--build-arg", f"BASE={base}", *_volumes())
        buildah.run("build", *made_of, "--tag", "plumbline", str(ROOT))
        config = json.loads(buildah.run("inspect", "--type", "image", "plumbline"))["Docker"]["config"]
        container = buildah.run("from", "--pull=never", "plumbline").strip()
        yield Image(Path(buildah.run("mount", container).strip()), config)
    finally:
        buildah.run("umount", "--all")
        shutil.rmtree(folder / "storage")


def running(image: Image, arguments: Sequence[str], *, volume: Path, user: str | None = None) -> Process:
    """The command in the image: read-only root, a fresh /tmp, `volume` writable; as the image's user unless told otherwise."""
    root = shlex.quote(str(image.root))
    environment = [str(pair) for pair in image.config["Env"]]  # type: ignore[attr-defined]
    inside = shlex.join(["env", "-i", "-C", str(image.config["WorkingDir"]), *environment, *arguments])
    script = f"""set -e
        echo "127.0.0.1 localhost" > {root}/etc/hosts  # as every engine does
        mount --bind {root} {root}
        mount -o remount,ro,bind {root}
        mount -t tmpfs -o mode=1777 tmpfs {root}/tmp
        mount --rbind /dev {root}/dev
        mount --rbind /proc {root}/proc
        mount --bind {shlex.quote(str(volume))} {root}{image.volume}
        cd /
        exec setpriv --no-new-privs chroot --userspec={user or image.user} --groups= {root} {inside}
    """
    return Process(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], env={"PATH": _path()})


class Buildah:
    """Debian's buildah with a storage of its own."""

    def __init__(self, storage: Path) -> None:
        self._storage = storage

    def run(self, command: str, *arguments: str) -> str:
        place = ["--root", str(self._storage / "root"), "--runroot", str(self._storage / "run")]
        return _run(
            ["buildah", *place, "--storage-driver", "vfs", command, *arguments],
            BUILDAH_ISOLATION="chroot",
            BUILDAH_HISTORY="true",
        )

    def commit(self, archive: Path) -> str:
        """An image whose root is the archive; its name."""
        container = self.run("from", "scratch").strip()
        self.run("add", "--quiet", container, str(archive), "/")
        self.run("config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", container)
        self.run("commit", "--quiet", "--rm", container, "localhost/base")
        return "localhost/base"


def _base() -> Path:
    """A Debian with Python as an archive, made once for each list of packages."""
    archive = CACHE / f"base-{sha256(f'{SUITE} {PACKAGES}'.encode()).hexdigest()[:12]}.tar"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        root, partial = CACHE / f"base.{os.getpid()}", archive.with_suffix(f".{os.getpid()}")
        try:
            _run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)])
            _run(["tar", "--create", "--numeric-owner", "--file", str(partial), "--directory", str(root), "."])
            partial.rename(archive)
        finally:
            shutil.rmtree(root, ignore_errors=True)
    return archive


def _volumes() -> list[str]:
    """pip's configuration, certificates and cache of this machine, lent to the build and gone after it."""
    (CACHE / "pip").mkdir(parents=True, exist_ok=True)
    lent = [(CACHE / "pip", "/root/.cache/pip:rw")]
    lent += [(source, f"{target}:ro") for source, target in LENT if source.exists()]
    return [word for source, target in lent for word in ("--volume", f"{source}:{target}")]


def _path() -> str:
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"  # debootstrap and chroot live there


def _run(command: Sequence[str], **environment: str) -> str:
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=BUILD_DEADLINE_S,
        check=False,
        env={**os.environ, "PATH": _path(), **environment},
    )
    assert run.returncode == 0, (
        f"{shlex.join(command)} ended with {run.returncode}\n{(run.stdout + run.stderr)[-4000:]}"
    )
    return run.stdout
