"""The archive's files: Parquet written aside, made durable and named in one step; the manifest that names them; the sweep.

Laws
- A file has its name only when all of it is on disk; the manifest names only such files.
- `sweep` takes away what the manifest does not name, and nothing that this module did not write.
"""

import fcntl
import io
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from models.disk import Disk
from service.featurelog.errors import ArchiveDamaged, PassRunning
from service.featurelog.floors import load_manifest
from service.featurelog.manifest import NAME, ArchiveFile, Manifest

ROW_GROUP_ROWS_MAX = 64 << 10
TABLES = ("requests", "shadows", "feedback")
ASIDE = ".new"
_OURS = re.compile(r"(w\d+-\d{8,}-\d{8,}-\d{8,}|merged-[0-9a-f]{16})(-\d+)?\.parquet(\.new)?")
_BUFFER_BYTES = 1 << 20
_WRITER_SETTINGS = {
    "compression": "zstd",
    "compression_level": 3,
    "write_page_checksum": True,
    "data_page_version": "1.0",  # checksums of version 2 pages are not checked by every reader
    "version": "2.6",
    "coerce_timestamps": "us",
}


class ArchiveFiles:
    """One archive; `disk` is how it is changed."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self.root = root
        self._disk = disk or Disk()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """For the length of a pass. Raises PassRunning."""
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _take(descriptor, self.root)
            yield
        finally:
            os.close(descriptor)

    def load(self) -> Manifest:
        """The manifest. Raises ManifestInvalid."""
        return load_manifest(self.root)

    def commit(self, manifest: Manifest) -> None:
        """The manifest is on disk under its name, or the old one still is."""
        aside = self.root / f"{NAME}{ASIDE}"
        descriptor = self._disk.create(aside)
        try:
            view = memoryview(manifest.encode())
            while view:
                view = view[self._disk.write(descriptor, view) :]
            self._disk.fsync(descriptor)
        finally:
            self._disk.close(descriptor)
        self._disk.rename(aside, self.root / NAME)
        self._disk.sync_directory(self.root)

    def create(self, path: str, layout: pa.Schema) -> "ParquetFile":
        """A new file, aside until it is placed."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return ParquetFile(place, layout, self._disk)

    def sync_folders(self, paths: Iterable[str]) -> None:
        """The names of these files survive power loss, and those of the folders that hold them."""
        folders = {
            parent for path in paths for parent in (self.root / path).parents if parent.is_relative_to(self.root)
        }
        for folder in sorted(folders, reverse=True):
            self._disk.sync_directory(folder)
        self._disk.sync_directory(self.root.parent)

    def tables(self, file: ArchiveFile) -> Iterator[pa.Table]:
        """The row groups of a file, their pages checked. Raises ArchiveDamaged."""
        found = self.open(file)
        for group in range(found.num_row_groups):
            try:
                yield found.read_row_group(group, use_threads=False)
            except (OSError, pa.ArrowException) as error:
                raise ArchiveDamaged(str(self.root / file.path), str(error), "pages whose checksums hold") from error

    def open(self, file: ArchiveFile) -> pq.ParquetFile:
        """A file whose footer can be read and says the rows that the manifest says. Raises ArchiveDamaged, OSError."""
        place = self.root / file.path
        try:
            found = pq.ParquetFile(place, page_checksum_verification=True, memory_map=False)
        except FileNotFoundError as error:
            raise ArchiveDamaged(str(place), "no file", f"{file.rows} rows") from error
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno is not None:  # of the system; Arrow's own have none
                raise
            raise ArchiveDamaged(str(place), str(error).strip(), f"Parquet with {file.rows} rows") from error
        if found.metadata.num_rows != file.rows:
            raise ArchiveDamaged(str(place), f"{found.metadata.num_rows} rows", f"{file.rows} rows")
        return found

    def unlink(self, path: Path) -> None:
        """Takes one file away."""
        self._disk.unlink(path)

    def sweep(self, manifest: Manifest) -> int:
        """Takes away what a pass left that did not come to its end, empty folders too; returns how many files."""
        swept = 0
        for path in filter(is_ours, self.unnamed(manifest)):
            self._disk.unlink(path)
            swept += 1
        self._disk.unlink(self.root / f"{NAME}{ASIDE}")
        self.remove_empty_folders(self._empty_folders())
        return swept

    def unnamed(self, manifest: Manifest) -> Iterator[Path]:
        """Files below the tables' folders that the manifest does not name."""
        named = {self.root / file.path for file in manifest.files}
        for table in TABLES:
            for folder, _, names in os.walk(self.root / table):  # one that goes meanwhile has nothing
                yield from sorted({Path(folder, name) for name in names} - named)

    def _empty_folders(self) -> Iterator[str]:
        for table in TABLES:
            for folder, folders, names in os.walk(self.root / table):
                if not folders and not names:
                    yield str(Path(folder).relative_to(self.root))

    def remove_empty_folders(self, folders: Iterable[str]) -> None:
        """Folders of files that are gone; one that holds something stays."""
        for folder in sorted(set(folders), reverse=True):
            place = self.root / folder
            while place != self.root:
                try:
                    place.rmdir()
                except OSError:
                    break
                place = place.parent


class ParquetFile:
    """One file that is being written; `rows` and `bytes` so far."""

    def __init__(self, place: Path, layout: pa.Schema, disk: Disk) -> None:
        self._place, self._aside, self._disk = place, place.with_name(place.name + ASIDE), disk
        self.rows = 0
        self._sink = _Sink(self._aside, disk)
        self._buffer = io.BufferedWriter(self._sink, _BUFFER_BYTES)
        self._writer = pq.ParquetWriter(self._buffer, layout, **_WRITER_SETTINGS)

    def write(self, table: pa.Table) -> None:
        """Appends row groups."""
        self._writer.write_table(table.unify_dictionaries(), ROW_GROUP_ROWS_MAX)
        self.rows += table.num_rows

    def place(self) -> int:
        """The file is on disk under its name, once its folder is synced; returns its size."""
        self._writer.close()
        self._buffer.flush()
        size = self._sink.size
        self._sink.sync()
        self._buffer.close()
        self._disk.rename(self._aside, self._place)
        return size

    def abandon(self) -> None:
        """Nothing of it stays; the sweep takes what cannot be taken away now."""
        self._sink.discards = True
        with suppress(OSError, ValueError, pa.ArrowException):
            self._writer.close()
        with suppress(OSError, ValueError):
            self._buffer.close()
        with suppress(OSError):
            self._disk.unlink(self._aside)


class _Sink(io.RawIOBase):
    """A file that is written through the port."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._disk, self.size, self.discards = disk, 0, False
        self._descriptor = disk.create(path)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.discards:
            return len(data)
        written = self._disk.write(self._descriptor, data)
        self.size += written
        return written

    def sync(self) -> None:
        self._disk.fsync(self._descriptor)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._disk.close(self._descriptor)


def is_ours(path: Path) -> bool:
    """Whether a pass or an erasure gave the file its name."""
    return _OURS.fullmatch(path.name) is not None


def folder(table: str, model: str, version: str, date: str) -> str:
    """Where rows lie; names as they may stand in a path."""
    if table == "feedback":
        return f"{table}/date={date}"
    return f"{table}/model={quote(model, safe='')}/version={quote(version, safe='')}/date={date}"


def _take(descriptor: int, place: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise PassRunning(str(place)) from error
