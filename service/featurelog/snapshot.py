"""What of the log is there at one moment: the archive's files, and what is not in them yet, as open Parquet files.

Laws
- Every row that the log held at that moment is in exactly one source, though the archiver works at the same time: the manifest
  is read first, then the log from the manifest's position; where a file or a segment goes meanwhile, it begins again.
- What is read stays readable: files are held open, so neither a merge nor retention takes them away from whoever reads.
- Hot data goes through nameless temporary files: memory does not grow with it, and nothing stays behind, also after `kill -9`.
"""

import resource
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from service.featurelog.chunk import Lost
from service.featurelog.columns import REQUESTS, SHADOWS, parts
from service.featurelog.errors import ArchiveBusy, HotTooLarge, SealedFileMissing
from service.featurelog.floors import load_manifest
from service.featurelog.manifest import Manifest
from service.featurelog.reader import LogReader

TRIES = 10  # each loses against a pass of the archiver, which come a minute apart
RECORDS_A_READ = 10_000
ROW_GROUP_ROWS = 1 << 16
WAITING_BYTES_MAX = 64 << 20  # of Arrow tables that wait to be written, over all versions
HOT_BYTES_MAX = 16 << 30  # raw; as Parquet about a quarter of that in TMPDIR
_SPARE_DESCRIPTORS = 256  # DuckDB opens what it reads once more, a few at a time


class Source(NamedTuple):
    """Open Parquet files of one folder of the archive, or of hot data that will lie there, by path."""

    table: str
    model: str
    version: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Readable until the `with` ends. `lost`: what the reader could not read of the hot data."""

    sources: tuple[Source, ...]
    lost: tuple[Lost, ...]
    hot_rows: int


@contextmanager
def snapshot(
    log_root: Path, archive_root: Path, *, model: str | None = None, hot_bytes_max: int = HOT_BYTES_MAX
) -> Iterator[Snapshot]:
    """Of one model, or of all.

    Raises ArchiveBusy when the archive never held still, SealedFileMissing, ManifestInvalid, HotTooLarge.
    """
    for _ in range(TRIES):
        manifest = load_manifest(archive_root)
        with ExitStack() as held:
            try:
                sealed = _sealed(archive_root, manifest, model, held)
            except FileNotFoundError as error:
                if load_manifest(archive_root) == manifest:
                    raise SealedFileMissing(str(error.filename)) from error
                continue
            hot = _Hot(held, model)
            try:
                lost = hot.read(log_root, manifest, hot_bytes_max)
            except FileNotFoundError:  # a segment that went between being listed and being opened
                continue
            if (
                any(hole.reason in ("segment missing", "let go") for hole in lost)
                and load_manifest(archive_root) != manifest
            ):
                continue
            yield Snapshot(tuple(_joined([*sealed, *hot.sources()])), tuple(lost), hot.rows)
            return
    raise ArchiveBusy(str(archive_root), TRIES)


def _sealed(root: Path, manifest: Manifest, model: str | None, held: ExitStack) -> list[Source]:
    wanted = [file for file in manifest.files if model is None or _folder(file.path)[0] in ("", model)]
    _allow_descriptors(len(wanted))
    return [Source(file.table, *_folder(file.path), (_open(root / file.path, held),)) for file in wanted]


def _folder(path: str) -> tuple[str, str]:
    """Model and version that the folders of a file name; "" where there is none."""
    named = dict(part.partition("=")[::2] for part in path.split("/"))
    return unquote(named.get("model", "")), unquote(named.get("version", ""))


def _open(path: Path, held: ExitStack) -> str:
    return _name(held.enter_context(path.open("rb")))


def _name(file: BinaryIO) -> str:
    """A path that leads to the open file, whatever becomes of its name."""
    return f"/dev/fd/{file.fileno()}"


def _allow_descriptors(files: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * files + _SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )


def _joined(sources: list[Source]) -> Iterator[Source]:
    """One source a table, model and version."""
    together: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for source in sources:
        together[source[:3]] = together.get(source[:3], ()) + source.paths
    for place, paths in together.items():
        yield Source(*place, paths)


def empty_file(schema: pa.Schema, held: ExitStack) -> str:
    """An open Parquet file without rows. (An empty Arrow table would import pandas: a second.)"""
    return _Writing(schema, held).close()


class _Writing:
    """A temporary Parquet file that grows."""

    def __init__(self, schema: pa.Schema, held: ExitStack) -> None:
        self.file = held.enter_context(tempfile.TemporaryFile(prefix="plumbline-"))  # noqa: SIM115
        self._writer = held.enter_context(pq.ParquetWriter(self.file, schema, compression="snappy"))
        self._waiting: list[pa.Table] = []
        self.rows = self.bytes = 0

    def add(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self.rows += table.num_rows
        self.bytes += table.nbytes
        if self.rows >= ROW_GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=ROW_GROUP_ROWS)
        self._waiting, self.rows, self.bytes = [], 0, 0

    def close(self) -> str:
        self.flush()
        self._writer.close()
        self.file.flush()
        return _name(self.file)


class _Hot:
    """Records after the archive's position, as rows in temporary files: one a version and layout."""

    def __init__(self, held: ExitStack, model: str | None) -> None:
        self._held, self._model = held, model
        self._writing: dict[tuple[str, str, str, pa.Schema], _Writing] = {}
        self.rows = 0

    def read(self, root: Path, manifest: Manifest, bytes_max: int) -> list[Lost]:
        """Up to where the log ended when its last bytes were read; returns what was lost."""
        seqs = {writer: manifest.expected_seq(writer) for writer in manifest.position}
        known = {writer: seq for writer, seq in seqs.items() if seq is not None}
        reader = LogReader(root, dict(manifest.position), seqs=known)
        if (size := reader.lag_bytes()) > bytes_max:
            raise HotTooLarge(str(root), size, bytes_max)
        lost: list[Lost] = []
        caught_up = False
        while not caught_up:
            chunk = reader.read(RECORDS_A_READ)
            lost += chunk.lost
            for run in chunk.runs:
                for part in parts(run):
                    if part.table not in (REQUESTS, SHADOWS) or self._model in (None, part.model):
                        self._add((part.table, part.model, part.version, part.rows.schema), part.rows)
            caught_up = chunk.caught_up
        return lost

    def _add(self, key: tuple[str, str, str, pa.Schema], rows: pa.Table) -> None:
        if key not in self._writing:
            self._writing[key] = _Writing(key[3], self._held)
        self._writing[key].add(rows)
        self.rows += rows.num_rows
        if sum(writing.bytes for writing in self._writing.values()) > WAITING_BYTES_MAX:
            for writing in self._writing.values():
                writing.flush()

    def sources(self) -> list[Source]:
        return [Source(*key[:3], (writing.close(),)) for key, writing in self._writing.items()]
