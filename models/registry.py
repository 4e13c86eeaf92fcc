"""The local registry: verified versions by digest; the only place that a server loads from.

Laws
- What `read` returns has the digest that was asked for: every byte is hashed each time it is read, and the buffer that was
  hashed is the buffer that is returned.
- A version is installed whole or not at all (write aside, fsync, rename); installing it again changes nothing, or mends
  a damaged copy.

Layout: `<root>/sha256-<hex>/{manifest.json, model.onnx, contract.json, baseline.json, card.json}`.
"""

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from models.contract import Contract
from models.durable import sync_directory, write_durably
from models.errors import ArtifactMismatch, ArtifactMissing, ModelError, SourceUnknown
from models.lock import Pin
from models.manifest import CONTRACT, MODEL, Manifest
from models.sources import file

MANIFEST = "manifest.json"
_SOURCES = {file.SCHEME: file.fetch}


class Registry:
    """A content-addressed store in a directory; safe for any number of readers and installers."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, digest: str) -> Path:
        """Where a digest lies, or would lie."""
        return self.root / digest.replace(":", "-")

    def has(self, digest: str) -> bool:
        return (self.place(digest) / MANIFEST).is_file()

    def install(self, files: Mapping[str, bytes]) -> str:
        """Stores a version and returns its digest."""
        manifest = Manifest.of(files)
        target = self.place(manifest.digest)
        if self._intact(manifest.digest):
            return manifest.digest
        self.root.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".incoming-", dir=self.root))
        try:
            for name, data in {**files, MANIFEST: manifest.encode()}.items():
                write_durably(aside / name, data)
            aside.chmod(0o755)
            self._move_in(aside, target, manifest.digest)
            sync_directory(self.root)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return manifest.digest

    def _intact(self, digest: str) -> bool:
        try:
            return bool(self.read_files(digest, digest))
        except ModelError:
            return False

    def _move_in(self, whole: Path, target: Path, digest: str) -> None:
        """A copy that is there and damaged gives way; one that another installer has put there is as good as ours."""
        try:
            whole.rename(target)
        except OSError:
            if self._intact(digest):
                return
            damaged = Path(tempfile.mkdtemp(prefix=".damaged-", dir=self.root))
            with suppress(FileNotFoundError):
                target.rename(damaged / "version")
            shutil.rmtree(damaged, ignore_errors=True)
            whole.rename(target)

    def read_files(self, digest: str, ref: str) -> dict[str, bytes]:
        """Every file of a version, verified. Raises ArtifactMissing, ArtifactMismatch."""
        place = self.place(digest)
        if not (place / MANIFEST).is_file():
            raise ArtifactMissing(ref, str(place))
        manifest = Manifest.decode((place / MANIFEST).read_bytes())
        if manifest.digest != digest:
            raise ArtifactMismatch(ref, manifest.digest.removeprefix("sha256:"), digest.removeprefix("sha256:"))
        return {entry.name: self._read(place / entry.name, entry.sha256, ref) for entry in manifest.files}

    def _read(self, path: Path, expected: str, ref: str) -> bytes:
        if not path.is_file():
            raise ArtifactMissing(ref, str(path))
        data = path.read_bytes()
        actual = sha256(data).hexdigest()
        if actual != expected:
            raise ArtifactMismatch(f"{ref} {path.name}", actual, expected)
        return data

    def sync(self, pin: Pin, *, relative_to: Path) -> bool:
        """Makes a pinned version present and verified; returns whether it had to be fetched.

        A local copy that is damaged is fetched again; when the source has other bytes than the pin, nothing is installed.
        Raises ArtifactMissing, ArtifactMismatch, SourceUnknown.
        """
        if self._intact(pin.digest):
            return False
        scheme = pin.source.partition(":")[0]
        if scheme not in _SOURCES:
            raise SourceUnknown(pin.source, ", ".join(f"{known}:" for known in _SOURCES))
        files = _SOURCES[scheme](pin.source, ref=pin.ref, relative_to=relative_to)
        offered = Manifest.of(files).digest
        if offered != pin.digest:
            raise ArtifactMismatch(pin.ref, offered.removeprefix("sha256:"), pin.digest.removeprefix("sha256:"))
        self.install(files)
        return True

    def contract(self, pin: Pin) -> Contract:
        """The contract of a pinned version."""
        return Contract.decode(self.read_files(pin.digest, pin.ref)[CONTRACT])

    def model(self, pin: Pin) -> bytes:
        """The verified graph of a pinned version."""
        return self.read_files(pin.digest, pin.ref)[MODEL]
