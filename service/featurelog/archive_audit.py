"""Is the archive what its manifest says? Holds each file against its entry (FORMAT.md §7.3), changes nothing.

Law: what is found is so under one manifest: a pass that is at work meanwhile makes no fault.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from service.featurelog.archive_files import ArchiveFiles, is_ours
from service.featurelog.errors import ArchiveDamaged
from service.featurelog.manifest import ArchiveFile, Manifest

SUFFIX = ".parquet"  # what readers who glob the folders take in
FOREIGN = "no pass wrote it, expected only files of this archive; who globs the folders reads it"


@dataclass(frozen=True, slots=True)
class ArchiveAudit:
    """`unnamed`: files that the manifest does not name and that a pass takes away, or that no reader takes in: no faults."""

    files: int
    rows: int
    faults: tuple[str, ...]
    unnamed: tuple[str, ...]

    @property
    def whole(self) -> bool:
        return not self.faults

    def as_json(self) -> dict[str, Any]:
        """The value of `archive` in `plumbline log verify --json`."""
        return {"files": self.files, "rows": self.rows, "faults": list(self.faults), "unnamed": list(self.unnamed)}


def audit_archive(files: ArchiveFiles, *, deep: bool = False) -> ArchiveAudit:
    """Sizes and footers; `deep`: every page, whose checksum is checked. Raises ManifestInvalid, OSError."""
    first = files.load()
    wrong = {file: fault for file in first.files if (fault := _fault(files, file, deep))}
    unnamed = set(files.unnamed(first))
    manifest = files.load()  # what is no longer in it went by the pass that wrote it
    faults = [fault for file, fault in wrong.items() if file in manifest.files]
    unnamed &= set(files.unnamed(manifest))
    foreign = {path for path in unnamed if path.suffix == SUFFIX and not is_ours(path)}
    faults += [f"{path}: {FOREIGN}" for path in sorted(foreign)]
    faults += _books(manifest)
    left = tuple(map(str, sorted(unnamed - foreign)))
    return ArchiveAudit(len(manifest.files), sum(file.rows for file in manifest.files), tuple(faults), left)


def _fault(files: ArchiveFiles, file: ArchiveFile, deep: bool) -> str:
    place = files.root / file.path
    try:
        size = place.stat().st_size
        if size != file.bytes:
            raise ArchiveDamaged(str(place), f"{size} bytes", f"{file.bytes} bytes")
        for _ in files.tables(file) if deep else [files.open(file)]:
            pass
    except FileNotFoundError:
        return str(ArchiveDamaged(str(place), "no file", f"{file.rows} rows"))
    except ArchiveDamaged as error:
        return str(error)
    return ""


def _books(manifest: Manifest) -> Iterator[str]:
    """What was archived is in the files, or went by retention or an erasure."""
    archived = sum(rows for account in manifest.accounts.values() for rows in account.rows.values())
    there, gone = sum(file.rows for file in manifest.files), manifest.let_go.rows + sum(manifest.erased.values())
    if archived != there + gone:
        yield f"manifest: {archived} rows archived, expected the {there} in its files and the {gone} let go or erased"
