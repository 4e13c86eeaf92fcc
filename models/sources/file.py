"""`file:PATH`: a version directory on this machine, relative to the lock that names it."""

from pathlib import Path

from models.errors import ArtifactMissing
from models.manifest import KNOWN, REQUIRED, SIGNATURE
from models.sources.offer import Offer, offer_of

SCHEME = "file"


class FileSource:
    """Directories; every one is taken to be concrete, since the digest of the pin says what must lie in it."""

    def __init__(self, relative_to: Path) -> None:
        self._relative_to = relative_to

    def resolve(self, source: str) -> str:
        """The same; a relative path stays relative, so that lock and artefacts can move together."""
        return source

    def fetch(self, source: str, *, ref: str) -> Offer:
        """The files of a version by name. Raises ArtifactMissing when the directory or a required file is not there."""
        directory = self._relative_to / source.removeprefix(f"{SCHEME}:")
        names = (*KNOWN, SIGNATURE)
        files = {name: (directory / name).read_bytes() for name in names if (directory / name).is_file()}
        if missing := [name for name in REQUIRED if name not in files]:
            raise ArtifactMissing(ref, str(directory / missing[0]))
        return offer_of(files)
