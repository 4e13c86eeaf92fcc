"""Where do the raw segments of each writer begin: what lies before was archived and let go (FORMAT.md §7.5)."""

from collections.abc import Mapping
from pathlib import Path

from service.featurelog.manifest import NAME, Manifest, Raw


def archive_of(log_root: Path) -> Path:
    """The archive that belongs to a log."""
    return log_root.parent / "archive"


def load_manifest(archive_root: Path) -> Manifest:
    """What is in the archive; nothing where there is none. Raises ManifestInvalid, OSError."""
    path = archive_root / NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Manifest()
    return Manifest.decode(data, str(path))


def floors(log_root: Path) -> Mapping[str, Raw]:
    """By writer; empty where nothing was archived."""
    return load_manifest(archive_of(log_root)).raw
