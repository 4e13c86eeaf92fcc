"""`bentoml:NAME:VERSION`: a model in BentoML's model store on this machine, read as the folder it is.

Layout: `<store>/models/<name>/<version>/…`, and `<store>/models/<name>/latest` with the newest version's name.
"""

import re
from pathlib import Path

from models.errors import ArtifactMissing, ArtifactRefused, SourceInvalid
from models.sources.offer import Offer, chosen, offer_of

SCHEME = "bentoml"
LATEST = "latest"
TAG = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")  # BentoML's own rule for names and versions, in lower case
LATEST_BYTES_MAX = 256


class BentomlSource:
    """The store below `home`, which is BentoML's `BENTOML_HOME`."""

    def __init__(self, home: Path, *, bytes_max: int) -> None:
        self._models, self._bytes_max = home / "models", bytes_max

    def resolve(self, source: str) -> str:
        """`latest` becomes the version that it names now. Raises SourceInvalid, ArtifactMissing."""
        name, version = _parts(source)
        if version != LATEST:
            return f"{SCHEME}:{name}:{version}"
        pointer = self._models / name / LATEST
        if not pointer.is_file():
            raise ArtifactMissing(source, str(pointer))
        with pointer.open("rb") as file:
            found = file.read(LATEST_BYTES_MAX).decode(errors="replace").strip()
        if not TAG.fullmatch(found) or found == LATEST:
            raise SourceInvalid(source, f"{found!r} in {pointer}", "the name of a version")
        return f"{SCHEME}:{name}:{found}"

    def fetch(self, source: str, *, ref: str) -> Offer:
        """Raises SourceInvalid, ArtifactMissing, ArtifactRefused."""
        name, version = _parts(source)
        if version == LATEST:
            raise SourceInvalid(source, LATEST, "a version, which does not move")
        directory = self._models / name / version
        if not directory.is_dir():
            raise ArtifactMissing(ref, str(directory))
        paths = {path.name: path for path in directory.iterdir() if path.is_file()}
        wanted = {own: paths[theirs] for own, theirs in chosen(paths, f"{ref}, {source}").items()}
        size = sum(path.stat().st_size for path in wanted.values())
        if size > self._bytes_max:
            raise ArtifactRefused(f"{ref}, {source}", f"{size} bytes", f"at most {self._bytes_max}")
        return offer_of({own: path.read_bytes() for own, path in wanted.items()})


def _parts(source: str) -> tuple[str, str]:
    match source.removeprefix(f"{SCHEME}:").split(":"):
        case [name, version] if TAG.fullmatch(name) and TAG.fullmatch(version):
            return name, version
        case _:
            raise SourceInvalid(source, "no name and version", f"{SCHEME}:NAME:VERSION, or {SCHEME}:NAME:{LATEST}")
