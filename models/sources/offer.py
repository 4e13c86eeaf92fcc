"""What does a source offer, and which of its files make a version?

Laws
- A file of a version keeps its name, but a graph may have any that ends in `.onnx` where it is the only one.
- What is neither a version's file nor its signature is not fetched.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from models.errors import ArtifactRefused
from models.manifest import KNOWN, MODEL, SIGNATURE

GRAPH_SUFFIX = ".onnx"
NAMES_SHOWN = 6


class Offer(msgspec.Struct, frozen=True):
    """The files of a version as a source has them; the contract may be missing. Nothing is verified yet but their transport."""

    files: Mapping[str, bytes]
    signature: bytes | None = None


class Source(Protocol):
    """Where artefacts come from. Both methods block; both raise ModelError."""

    def resolve(self, source: str) -> str:
        """The same source without a moving name (a tag, an alias): it means the same bytes for ever, or none."""
        ...

    def fetch(self, source: str, *, ref: str) -> Offer:
        """What a resolved source offers. Raises SourceInvalid for one that is not."""
        ...


def chosen(names: Iterable[str], where: str) -> dict[str, str]:
    """Name in the version → name at the source. Raises ArtifactRefused unless exactly one graph is offered."""
    there = sorted(set(names))
    graphs = [MODEL] if MODEL in there else [name for name in there if name.endswith(GRAPH_SUFFIX)]
    if len(graphs) != 1:
        raise ArtifactRefused(where, _listed(graphs or there), f"{MODEL}, or one file that ends in {GRAPH_SUFFIX}")
    kept = {name: name for name in (*KNOWN, SIGNATURE) if name in there}
    return {**kept, MODEL: graphs[0]}


def offer_of(files: Mapping[str, bytes]) -> Offer:
    """An offer of these files, of which one may be the signature."""
    return Offer({name: data for name, data in files.items() if name != SIGNATURE}, files.get(SIGNATURE))


def _listed(names: list[str]) -> str:
    shown = ", ".join(name[:64] for name in names[:NAMES_SHOWN])
    return f"{shown}, … ({len(names)})" if len(names) > NAMES_SHOWN else shown or "no file"
