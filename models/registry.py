"""The local registry: verified versions by digest; the only place that a server loads from.

Laws
- Where signatures are asked for, nothing is read that is not signed by a trusted key.
- What `read` returns has the digest that was asked for: every byte is hashed each time it is read, and the buffer that was
  hashed is the buffer that is returned.
- Links are followed: the content decides, not where it lies, and what happens to a file after it was read changes nothing.
- A version is installed whole or not at all (write aside, fsync, rename); installing it again changes nothing, or mends
  a damaged copy.

Layout: `<root>/sha256-<hex>/{manifest.json, model.onnx, contract.json, baseline.json, card.json, model.sig}`.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from models.contract import Contract
from models.durable import read_regular, replace_durably, sync_directory, write_durably
from models.errors import ArtifactMismatch, ArtifactMissing, ModelError
from models.lock import Pin
from models.manifest import CONTRACT, MODEL, SIGNATURE, FileEntry, Manifest

MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 1 << 16  # of four files, some hundred bytes each


class Trust(Protocol):
    """Which signatures are believed."""

    def check(self, files: Mapping[str, bytes], signature: bytes | None, ref: str) -> None:
        """Raises SignatureRefused unless a trusted key signed exactly these files."""
        ...


class Registry:
    """A content-addressed store in a directory; safe for any number of readers and installers.

    `trust`: what is read must be signed; without it signatures are kept and not looked at.
    """

    def __init__(self, root: Path, trust: Trust | None = None) -> None:
        self.root, self._trust = root, trust

    def place(self, digest: str) -> Path:
        """Where a digest lies, or would lie."""
        return self.root / digest.replace(":", "-")

    def has(self, digest: str) -> bool:
        return (self.place(digest) / MANIFEST).is_file()

    def check(self, files: Mapping[str, bytes], signature: bytes | None, ref: str) -> None:
        """Raises SignatureRefused where signatures are asked for and this is none of a trusted key over these files."""
        if self._trust is not None:
            self._trust.check(files, signature, ref)

    def install(self, files: Mapping[str, bytes], signature: bytes | None = None) -> str:
        """Stores a version and returns its digest."""
        manifest = Manifest.of(files)
        target = self.place(manifest.digest)
        if self.intact(manifest.digest):
            if signature is not None and self.signature(manifest.digest) is None:
                self.put_signature(manifest.digest, signature)
            return manifest.digest
        self.root.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".incoming-", dir=self.root))
        signed = {} if signature is None else {SIGNATURE: signature}
        try:
            for name, data in {**files, **signed, MANIFEST: manifest.encode()}.items():
                write_durably(aside / name, data)
            aside.chmod(0o755)
            self._move_in(aside, target, manifest.digest)
            sync_directory(self.root)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return manifest.digest

    def intact(self, digest: str) -> bool:
        """Whether a version is here whole, and signed where that is asked for."""
        try:
            return bool(self.read_files(digest, digest))
        except ModelError:
            return False

    def _move_in(self, whole: Path, target: Path, digest: str) -> None:
        """A copy that is there and damaged gives way; one that another installer has put there is as good as ours."""
        try:
            whole.rename(target)
        except OSError:
            if self.intact(digest):
                return
            damaged = Path(tempfile.mkdtemp(prefix=".damaged-", dir=self.root))
            with suppress(FileNotFoundError):
                target.rename(damaged / "version")
            shutil.rmtree(damaged, ignore_errors=True)
            whole.rename(target)

    def read_files(self, digest: str, ref: str) -> dict[str, bytes]:
        """Every file of a version, verified. Raises ArtifactMissing, ArtifactMismatch, SignatureRefused."""
        place = self.place(digest)
        text = read_regular(place / MANIFEST, MANIFEST_BYTES_MAX)
        if text is None:
            raise ArtifactMissing(ref, str(place))
        manifest = Manifest.decode(text)
        if manifest.digest != digest:
            raise ArtifactMismatch(ref, manifest.digest.removeprefix("sha256:"), digest.removeprefix("sha256:"))
        files = {entry.name: self._read(place, entry, ref) for entry in manifest.files}
        if self._trust is not None:
            self._trust.check(files, self.signature(digest), ref)
        return files

    def signature(self, digest: str) -> bytes | None:
        """The signature that lies beside a version, unverified."""
        path = self.place(digest) / SIGNATURE
        return path.read_bytes() if path.is_file() else None

    def put_signature(self, digest: str, signature: bytes) -> None:
        """Lays a signature beside a version, in place of the one it has; servers look at the version again."""
        replace_durably(self.place(digest) / SIGNATURE, signature)
        os.utime(self.root)

    def _read(self, place: Path, entry: FileEntry, ref: str) -> bytes:
        """A file that has grown is not read to its end: one byte more than it should have is enough to refuse it."""
        data = read_regular(place / entry.name, entry.size + 1)
        if data is None:
            raise ArtifactMissing(ref, str(place / entry.name))
        actual = sha256(data).hexdigest()
        if actual != entry.sha256:
            raise ArtifactMismatch(f"{ref} {entry.name}", actual, entry.sha256)
        return data

    def contract(self, pin: Pin) -> Contract:
        """The contract of a pinned version."""
        return Contract.decode(self.read_files(pin.digest, pin.ref)[CONTRACT])

    def model(self, pin: Pin) -> bytes:
        """The verified graph of a pinned version."""
        return self.read_files(pin.digest, pin.ref)[MODEL]
