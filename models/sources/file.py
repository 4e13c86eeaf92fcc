"""`file:PATH`: a version directory on this machine, relative to the lock that names it."""

from pathlib import Path

from models.errors import ArtifactMissing
from models.manifest import KNOWN, REQUIRED

SCHEME = "file"


def fetch(source: str, *, ref: str, relative_to: Path) -> dict[str, bytes]:
    """The files of a version by name. Raises ArtifactMissing when the directory or a required file is not there."""
    directory = relative_to / source.removeprefix(f"{SCHEME}:")
    files = {name: (directory / name).read_bytes() for name in KNOWN if (directory / name).is_file()}
    if missing := [name for name in REQUIRED if name not in files]:
        raise ArtifactMissing(ref, str(directory / missing[0]))
    return files
