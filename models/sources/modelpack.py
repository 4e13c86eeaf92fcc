"""A version as an OCI manifest and back: one layer a file, with the media types of CNCF ModelPack.

Laws
- The same files give the same manifest, byte for byte, so pushing twice gives one digest.
- A layer's file name stands in ModelPack's annotation and in that of OCI, so `oras pull` writes the same files.

| file | media type |
|---|---|
| `model.onnx` | `application/vnd.cncf.model.weight.v1.raw` |
| `contract.json`, `baseline.json` | `application/vnd.cncf.model.weight.config.v1.raw` |
| `card.json` | `application/vnd.cncf.model.doc.v1.raw` |
| `model.sig` | `application/vnd.dev.sigstore.bundle.v0.3+json` |
"""

import re
from collections.abc import Mapping
from hashlib import sha256

import msgspec

from models.errors import UNDECODABLE, ArtifactRefused
from models.lock import DIGEST
from models.manifest import BASELINE, CARD, CONTRACT, MODEL, SIGNATURE
from models.sources.offer import chosen

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
_CONFIG_LAYER = "application/vnd.cncf.model.weight.config.v1.raw"
LAYER_TYPES: Mapping[str, str] = {
    MODEL: "application/vnd.cncf.model.weight.v1.raw",
    CONTRACT: _CONFIG_LAYER,
    BASELINE: _CONFIG_LAYER,
    CARD: "application/vnd.cncf.model.doc.v1.raw",
    SIGNATURE: "application/vnd.dev.sigstore.bundle.v0.3+json",
}
PATH_KEYS = ("org.cncf.model.filepath", "org.opencontainers.image.title")
SIZE_END = 1 << 63  # JSON would take more digits than anybody wants to read
LAYERS_MAX = 256  # a model in shards has a few dozen
_PACKED = re.compile(r".*([.+](tar|gzip|zstd|zip))$")


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A blob as a manifest names it; `size` in bytes."""

    media_type: str
    digest: str
    size: int
    annotations: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The file that it is; empty where it does not say."""
        return next((self.annotations[key] for key in PATH_KEYS if key in self.annotations), "")


class ImageManifest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """OCI's image manifest, as far as a model has it."""

    schema_version: int
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    artifact_type: str = ""


class Packed(msgspec.Struct, frozen=True):
    """What a registry is given: the manifest and the blobs that it names, by digest."""

    manifest: bytes
    blobs: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)


def digest_of(data: bytes) -> str:
    """`sha256:<hex>`."""
    return f"sha256:{sha256(data).hexdigest()}"


def pack(files: Mapping[str, bytes], *, name: str, version: str) -> Packed:
    """The manifest of these files; `model.sig` may be one of them. No time, no machine in it."""
    layers = [
        Descriptor(LAYER_TYPES[file], digest_of(data), len(data), dict.fromkeys(PATH_KEYS, file))
        for file, data in sorted(files.items())
    ]
    config = msgspec.json.encode(
        {
            "descriptor": {"name": name, "version": version},
            "config": {"format": "onnx"},
            "modelfs": {"type": "layers", "diffIds": [layer.digest for layer in layers]},
        }
    )
    described = Descriptor(CONFIG_TYPE, digest_of(config), len(config))
    manifest = ImageManifest(2, MANIFEST_TYPE, described, tuple(layers), ARTIFACT_TYPE)
    blobs = {layer.digest: files[layer.name] for layer in layers}
    return Packed(msgspec.json.encode(manifest), {described.digest: config, **blobs})


def unpack(manifest: bytes, where: str, *, bytes_max: int) -> dict[str, Descriptor]:
    """Name in the version → blob. Raises ArtifactRefused for what is no manifest of a graph, or of too large a one."""
    try:
        decoded = msgspec.json.decode(manifest, type=ImageManifest)
    except UNDECODABLE as error:
        raise ArtifactRefused(where, f"no manifest ({error})", f"one {MANIFEST_TYPE}") from error
    if decoded.media_type != MANIFEST_TYPE or len(decoded.layers) > LAYERS_MAX:
        found = f"{decoded.media_type[:100]!r} with {len(decoded.layers)} layers"
        raise ArtifactRefused(where, found, f"{MANIFEST_TYPE} with at most {LAYERS_MAX}")
    named = [layer for layer in decoded.layers if layer.name]
    names = [layer.name for layer in named]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ArtifactRefused(where, f"layer {twice[0][:64]!r} twice", "every file once")
    by_name = {layer.name: layer for layer in named}
    wanted = {own: by_name[theirs] for own, theirs in chosen(names, where).items()}
    for own, layer in wanted.items():
        _plain(layer, f"{where}, layer {own}")
    if (total := sum(layer.size for layer in wanted.values())) > bytes_max:
        raise ArtifactRefused(where, f"{total} bytes", f"at most {bytes_max} (sources_bytes_max)")
    return wanted


def _plain(layer: Descriptor, where: str) -> None:
    if not DIGEST.fullmatch(layer.digest) or not 0 <= layer.size < SIZE_END:
        found = f"digest {layer.digest[:80]!r}, size {min(max(layer.size, -1), SIZE_END)}"
        raise ArtifactRefused(where, found, "a sha256 digest and a size")
    if _PACKED.fullmatch(layer.media_type):
        raise ArtifactRefused(where, f"{layer.media_type[:100]!r}", "the file itself, such as …weight.v1.raw")
