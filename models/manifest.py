"""Files, sizes and hashes of a model version; the digest that names it.

Law: the digest is the sha256 of the canonical manifest text, so it changes when a byte, a size or a name changes,
and with nothing else (not with time, owner, mode or the order in which a directory is listed).
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Self

import msgspec

from models.errors import UNDECODABLE, ContractInvalid

MODEL, CONTRACT, BASELINE, CARD = "model.onnx", "contract.json", "baseline.json", "card.json"
REQUIRED = (MODEL, CONTRACT)
KNOWN = (MODEL, CONTRACT, BASELINE, CARD)
SIGNATURE = "model.sig"  # beside the files of a version, not one of them: signing changes no digest
MODEL_BYTES_MAX = 1 << 31  # protobuf's own limit for one message; a larger model needs external data, which is refused
DOCUMENT_BYTES_MAX = 64 << 20  # contract, baseline, card: a baseline of 10 000 features has some 4 MB
_HEX = re.compile(r"[0-9a-f]{64}")


class FileEntry(msgspec.Struct, frozen=True):
    """One file of a version; `sha256` in lower-case hex."""

    name: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        if self.size < 0 or not _HEX.fullmatch(self.sha256):
            raise ContractInvalid(
                f"manifest, {self.name!r}", f"{self.size} bytes, sha256 {self.sha256!r}", "a size and 64 hex digits"
            )
        most = MODEL_BYTES_MAX if self.name == MODEL else DOCUMENT_BYTES_MAX
        if self.size > most:
            raise ContractInvalid(f"manifest, {self.name!r}", f"{self.size} bytes", f"at most {most}")


class Manifest(msgspec.Struct, frozen=True):
    """All files of a version, sorted by name."""

    files: tuple[FileEntry, ...]

    def __post_init__(self) -> None:
        names = [entry.name for entry in self.files]
        if names != sorted(set(names)):
            raise ContractInvalid("manifest", f"files {names}", "each once, sorted by name")
        if strange := sorted(set(names) - set(KNOWN)):
            raise ContractInvalid("manifest", f"file {strange[0]!r}", f"only {', '.join(KNOWN)}")
        if missing := [name for name in REQUIRED if name not in names]:
            raise ContractInvalid("manifest", f"no {missing[0]}", f"at least {', '.join(REQUIRED)}")

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> Self:
        """The manifest of these file contents."""
        return cls(tuple(FileEntry(name, len(data), sha256(data).hexdigest()) for name, data in sorted(files.items())))

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Raises ContractInvalid when the bytes are not a manifest."""
        try:
            return msgspec.json.decode(data, type=cls)
        except UNDECODABLE as error:
            raise ContractInvalid("manifest.json", str(error), "a manifest as the registry writes it") from error

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the canonical text."""
        return "sha256:" + sha256(self.encode()).hexdigest()
