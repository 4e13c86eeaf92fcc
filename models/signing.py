"""Signs versions and checks signatures, offline, with key files: the only file that imports model_signing (extra `signing`).

Laws
- A signature counts when one of the trusted keys made it over exactly the files of the version: none more, none fewer.
- What is compared are the buffers that will be loaded: nothing is read from disk but keys.
- Nothing is asked of a network.

What is signed is what `model_signing sign key DIRECTORY` signs of a version's directory, so either tool accepts the
other's signatures: a Sigstore bundle over the names and sha256 of its files, without `manifest.json` and `model.sig`.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from model_signing import hashing, signing, verifying

from models.errors import UNDECODABLE, SignatureRefused, SigningUnavailable
from models.manifest import SIGNATURE

BUNDLE_BYTES_MAX = 1 << 20  # one of five files has 3 kB
HASH = "sha256"
EXPECTED = "a signature by one of signature_keys (`plumbline models sign`)"
KEY_EXPECTED = (
    "a PEM file of an elliptic key (P-256, P-384 or P-521), as `openssl ecparam -name prime256v1 -genkey` writes"
)


class Signatures:
    """The trusted keys. Built once a process: a key that cannot be read is said at the start, not at the first version."""

    def __init__(self, keys: Sequence[Path]) -> None:
        """Raises SigningUnavailable naming the key."""
        self._keys = tuple(keys)
        for key in self._keys:
            _verifier(key)

    def check(self, files: Mapping[str, bytes], signature: bytes | None, ref: str) -> None:
        """Raises SignatureRefused."""
        if signature is None:
            raise SignatureRefused(ref, "no signature", EXPECTED)
        _names_its_key(signature, ref)
        reasons = []
        with tempfile.TemporaryDirectory(prefix="plumbline-signature-") as place:
            path = Path(place) / SIGNATURE
            path.write_bytes(signature)
            for key in self._keys:
                try:
                    _verifier(key).set_hashing_config(_InMemory(files)).verify(Path(place), path)
                except Exception as error:  # the package raises what its parsers do; whatever it is, it is no signature
                    reasons.append(f"{key.name}: {' '.join(str(error).split()) or type(error).__name__}")
                else:
                    return
        raise SignatureRefused(ref, f"a signature that does not hold ({'; '.join(reasons)[:600]})", EXPECTED)


def sign(files: Mapping[str, bytes], key: Path, *, name: str, password: bytes | None = None) -> bytes:
    """The signature of these files; `name` is in it for people. Raises SigningUnavailable."""
    try:
        # the package hands the password on to a function that takes bytes, whatever its annotation says
        signer = signing.Config().use_elliptic_key_signer(private_key=key, password=password)
    except (OSError, ValueError, TypeError) as error:
        raise SigningUnavailable(f"key {key}", str(error), KEY_EXPECTED) from error
    with tempfile.TemporaryDirectory(prefix="plumbline-signature-") as place:
        path = Path(place) / SIGNATURE
        signer.set_hashing_config(_InMemory(files, name)).sign(Path(place), path)
        return path.read_bytes()


def _verifier(key: Path) -> verifying.Config:
    try:
        return verifying.Config().use_elliptic_key_verifier(public_key=key)
    except (OSError, ValueError, TypeError, AttributeError) as error:  # the last: a key of another kind has no curve
        raise SigningUnavailable(f"key {key}", str(error), KEY_EXPECTED.replace("-genkey", "… -pubout")) from error


class _PublicKey(msgspec.Struct):
    hint: str


class _Material(msgspec.Struct, rename="camel"):
    public_key: _PublicKey


class _Bundle(msgspec.Struct, rename="camel"):
    verification_material: _Material


def _names_its_key(signature: bytes, ref: str) -> None:
    """Bundles of the first versions name no key: the package would print a warning about them, into our answers."""
    try:
        if len(signature) <= BUNDLE_BYTES_MAX and msgspec.json.decode(signature, type=_Bundle):
            return
    except UNDECODABLE:
        pass
    raise SignatureRefused(ref, f"{len(signature)} bytes that are no bundle of a key's signature", EXPECTED)


@dataclass(frozen=True, slots=True)
class _Digest:
    digest_value: bytes
    algorithm: str = HASH

    @property
    def digest_hex(self) -> str:
        return self.digest_value.hex()


@dataclass(frozen=True, slots=True)
class _File:
    identifier: str
    digest: _Digest


class _Files:
    """What the package's own Manifest says of a directory, said of files in memory."""

    def __init__(self, name: str, files: Mapping[str, bytes]) -> None:
        self.model_name = name
        # written into the signature, so that whoever checks the directory leaves the same two files out
        self.serialization_type = {
            "method": "files",
            "hash_type": HASH,
            "allow_symlinks": False,
            "ignore_paths": ["manifest.json", SIGNATURE],
        }
        self._files = [_File(name, _Digest(sha256(data).digest())) for name, data in sorted(files.items())]

    def resource_descriptors(self) -> Iterator[_File]:
        return iter(self._files)

    def __eq__(self, other: object) -> bool:
        theirs: Any = other
        return _digests(self.resource_descriptors()) == _digests(theirs.resource_descriptors())

    __hash__ = None  # type: ignore[assignment]


def _digests(files: Iterable[Any]) -> list[tuple[str, str, str]]:
    return sorted((file.identifier, file.digest.algorithm, file.digest.digest_hex) for file in files)


class _InMemory(hashing.Config):  # type: ignore[misc]
    """Stands where the package would walk a directory."""

    def __init__(self, files: Mapping[str, bytes], name: str = "") -> None:
        super().__init__()
        self._described = _Files(name, files)

    def hash(self, model_path: hashing.PathLike, *, files_to_hash: Any = None) -> Any:
        return self._described

    def add_ignored_paths(self, *, model_path: hashing.PathLike, paths: Iterable[hashing.PathLike]) -> None:
        """A signature has no say in which files count."""
