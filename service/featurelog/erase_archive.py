"""Erases from the archive: the Parquet files that hold matching rows are written again without them.

Order of effects: the new files are on disk under names of their own → the manifest names them in place of the old ones, which
is the commit → the old ones are taken away. What a crash leaves over is not named, and swept by the next erasure or pass.

Laws
- The rows that stay are what they were, in their order; no dictionary, statistic or note of a file tells of those that went.
- The archive's lock is held by the caller.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from itertools import chain
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from service.featurelog.archive_files import ArchiveFiles
from service.featurelog.columns import NOBODY, REQUESTS
from service.featurelog.erase_segments import Named, Rows
from service.featurelog.errors import ArchiveDamaged
from service.featurelog.manifest import ArchiveFile
from service.featurelog.matching import Mask, Matcher

Key = tuple[str, int, int]
"""(writer, epoch, seq) of a request."""
Choose = Callable[[ArchiveFile, pa.Table], Mask]


class ArchiveEraser:
    """One erasure in one archive; `damaged` are files that could not be read, and stay; `written` new ones."""

    def __init__(self, files: ArchiveFiles, matcher: Matcher, model: str | None) -> None:
        self._files, self._matcher, self._model = files, matcher, model
        self._manifest = files.load()
        self.damaged: set[str] = set()
        self.looked = False
        self.written: list[str] = []

    def sweep(self) -> None:
        """Takes away what no manifest names: it may hold anything."""
        self._files.sweep(self._manifest)

    def find(self, named: Named) -> dict[str, int]:
        """Adds the requests that match; how many rows of each file do. Raises WhereInvalid."""
        hits: dict[str, int] = {}
        for file in self._manifest.files:
            if file.table == REQUESTS and self._model in (None, _part(file, "model")):
                rows: dict[str, set[int]] = defaultdict(set)
                asked: dict[str, int] = {}
                for table in self._tables(file):
                    chosen = table.select(["request_id", "row", "rows"]).filter(pa.array(self._matches(file, table)))
                    for one in chosen.to_pylist():
                        rows[one["request_id"]].add(one["row"])
                        asked[one["request_id"]] = one["rows"]
                for request_id, numbers in rows.items():
                    named.add(request_id, None if -1 in numbers or len(numbers) >= asked[request_id] else numbers)
                if rows:
                    hits[file.path] = sum(map(len, rows.values()))
        return hits

    def followers(self, ids: Mapping[str, Rows]) -> dict[str, int]:
        """How many rows of each file are labels or shadow answers of these requests."""
        others = [file for file in self._manifest.files if file.table != REQUESTS and ids]
        found = {file.path: sum(int(_follows(ids, table).sum()) for table in self._tables(file)) for file in others}
        return {path: rows for path, rows in found.items() if rows}

    def erase_followers(self, paths: Mapping[str, int], ids: Mapping[str, Rows]) -> None:
        """Writes these files again without the rows of these requests."""
        self._rewrite(paths, lambda _, table: _follows(ids, table))

    def erase_requests(self, paths: Mapping[str, int]) -> None:
        """Writes these files again without the rows that match."""
        self._rewrite(paths, self._matches)

    # --- reading --------------------------------------------------------------------------------------------------

    def _tables(self, file: ArchiveFile) -> Iterator[pa.Table]:
        try:
            for table in self._files.tables(file):
                self.looked = self.looked or file.table == REQUESTS
                yield table
        except ArchiveDamaged:
            self.damaged.add(file.path)

    def _matches(self, file: ArchiveFile, table: pa.Table) -> Mask:
        return self._matcher.rows(table, None, model=_part(file, "model"), version=_part(file, "version"))

    # --- writing --------------------------------------------------------------------------------------------------

    def _rewrite(self, paths: Mapping[str, int], choose: Choose) -> None:
        old = [file for file in self._manifest.files if file.path in paths and file.path not in self.damaged]
        if not old:
            return
        new = {file.path: self._without(file, choose) for file in old}
        self._files.sync_folders([file.path for file in new.values() if file is not None])
        self._manifest = self._manifest.with_erased(new)
        self._files.commit(self._manifest)
        self.written += [file.path for file in new.values() if file is not None]
        for file in old:
            self._files.unlink(self._files.root / file.path)

    def _without(self, file: ArchiveFile, choose: Choose) -> ArchiveFile | None:
        """The same file without the chosen rows, a row group at a time; None where it has no others."""
        gone, partial = [], set[Key]()
        for table in self._files.tables(file):
            gone.append(choose(file, table))
            if file.table == REQUESTS:
                partial |= _keys(table.filter(pa.array(gone[-1])))
        if all(mask.all() for mask in gone):
            return None
        path = f"{file.folder}/merged-{blake2b(file.path.encode(), digest_size=8).hexdigest()}.parquet"
        tables = zip(self._files.tables(file), gone, strict=True)
        kept = (_forgetful(table.filter(pa.array(~mask)), partial) for table, mask in tables if not mask.all())
        return self._written(file, path, kept)

    def _written(self, file: ArchiveFile, path: str, tables: Iterator[pa.Table]) -> ArchiveFile:
        first = next(tables)
        written = self._files.create(path, first.schema)
        try:
            ends: list[int] = []
            for table in chain([first], tables):
                written.write(table)
                times = pc.min_max(table["arrived_at"].cast(pa.int64()))
                ends += [times["min"].as_py(), times["max"].as_py()]
            size = written.place()
        except BaseException:
            written.abandon()
            raise
        return ArchiveFile(path, file.table, written.rows, size, min(ends), max(ends), layout=file.layout)


def _keys(table: pa.Table) -> set[Key]:
    """Which requests these rows are of."""
    some = table.select(["writer", "epoch", "seq"]).to_pylist()
    return {(one["writer"], one["epoch"], one["seq"]) for one in some}


def _forgetful(table: pa.Table, partial: set[Key]) -> pa.Table:
    """Dictionaries of what is there alone; no note of tensors that were those of erased rows too."""
    if partial and "tensors" in table.column_names and table["tensors"].null_count < len(table):
        keys = zip(*(table[name].to_pylist() for name in ("writer", "epoch", "seq")), strict=True)
        mask = pa.array([key in partial for key in keys])
        place = table.schema.get_field_index("tensors")
        noted = pc.if_else(mask, pa.nulls(len(table), table.schema.field(place).type), table["tensors"])
        table = table.set_column(place, table.schema.field(place), noted)
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            fresh = table.column(place).cast(field.type.value_type).combine_chunks().dictionary_encode()
            table = table.set_column(place, field, fresh.cast(field.type))
    return table


def _follows(ids: Mapping[str, Rows], table: pa.Table) -> Mask:
    """Rows of these requests, by id and number."""
    mask: Mask = pc.is_in(table["request_id"], value_set=pa.array(list(ids), pa.string())).to_numpy().astype(np.bool_)
    some = table.select(["request_id", "row"]).filter(pa.array(mask)).to_pylist()
    rows = [ids[one["request_id"]] for one in some]
    mask[mask] = [gone is None or one["row"] in gone for one, gone in zip(some, rows, strict=True)]
    return mask


def _part(file: ArchiveFile, name: str) -> str:
    """Of the folder's name; "" where it is nobody's."""
    found = next((part[len(name) + 1 :] for part in file.folder.split("/") if part.startswith(f"{name}=")), "")
    return "" if found == NOBODY else unquote(found)
