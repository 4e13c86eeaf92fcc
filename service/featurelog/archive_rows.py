"""Tables as they come → one Parquet file a folder and layout, in row groups; memory and open files are bounded.

Law: the same tables in the same order give the same files with the same bytes.
"""

from collections import Counter
from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc

from service.featurelog.archive_files import ROW_GROUP_ROWS_MAX, ArchiveFiles, ParquetFile, folder
from service.featurelog.columns import Part
from service.featurelog.manifest import ArchiveFile

BUFFERED_BYTES_MAX = 64 << 20  # of rows that wait for their row group, all folders together
OPEN_FILES_MAX = 64  # folders × layouts of one batch; beyond it what is open is finished, and more files are begun


class BatchFiles:
    """The files of one batch, `name` being what theirs begin with."""

    def __init__(self, files: ArchiveFiles, name: str, *, layout: str | None = None) -> None:
        self._files, self._name, self._layout = files, name, layout
        self._open: dict[tuple[str, str], _Open] = {}
        self._numbers: Counter[str] = Counter()
        self._done: list[ArchiveFile] = []
        self._bytes = 0

    def add_part(self, part: Part) -> None:
        """Rows as `columns.parts` gives them."""
        self.add(folder(part.table, part.model, part.version, part.date), part.table, part.rows)

    def add(self, place: str, table: str, rows: pa.Table) -> None:
        """Rows of one folder."""
        key = (place, layout_of(rows.schema))
        if key not in self._open:
            if len(self._open) == OPEN_FILES_MAX:
                self._finish_open()
            self._open[key] = self._begin(place, table, key[1], rows.schema)
        held = self._open[key]
        held.tables.append(rows)
        held.rows += rows.num_rows
        held.bytes += rows.nbytes
        self._bytes += rows.nbytes
        if held.rows >= ROW_GROUP_ROWS_MAX:
            self._flush(held, whole_groups=True)
        while self._bytes > BUFFERED_BYTES_MAX:
            self._flush(max(self._open.values(), key=lambda one: one.bytes), whole_groups=False)

    def finish(self) -> tuple[ArchiveFile, ...]:
        """All files have their names."""
        self._finish_open()
        return tuple(self._done)

    def abandon(self) -> None:
        """What is open is taken away; what has its name already is swept by the next pass."""
        for held in self._open.values():
            held.file.abandon()

    def _begin(self, place: str, table: str, layout: str, schema: pa.Schema) -> "_Open":
        path = f"{place}/{self._name}-{self._numbers[place]}.parquet"
        self._numbers[place] += 1
        return _Open(path, table, self._layout or layout, self._files.create(path, schema))

    def _flush(self, held: "_Open", *, whole_groups: bool) -> None:
        rows = pa.concat_tables(held.tables)
        take = rows.num_rows - rows.num_rows % ROW_GROUP_ROWS_MAX if whole_groups else rows.num_rows
        held.write(rows.slice(0, take))
        rest = rows.slice(take)
        self._bytes -= held.bytes
        held.tables, held.rows, held.bytes = ([rest] if len(rest) else []), len(rest), rest.nbytes if len(rest) else 0
        self._bytes += held.bytes

    def _finish_open(self) -> None:
        for held in self._open.values():
            if held.tables:
                self._flush(held, whole_groups=False)
            self._done.append(held.finished())
        self._open.clear()


class _Open:
    """One file that is being filled."""

    def __init__(self, path: str, table: str, layout: str, file: ParquetFile) -> None:
        self.path, self.table, self.layout, self.file = path, table, layout, file
        self.tables: list[pa.Table] = []
        self.rows = self.bytes = 0
        self._min_at_us = self._max_at_us = 0

    def write(self, rows: pa.Table) -> None:
        ends = pc.min_max(rows["arrived_at"].cast(pa.int64()))
        first, last = ends["min"].as_py(), ends["max"].as_py()
        begun = self.file.rows > 0
        self._min_at_us = min(self._min_at_us, first) if begun else first
        self._max_at_us = max(self._max_at_us, last) if begun else last
        self.file.write(rows)

    def finished(self) -> ArchiveFile:
        size = self.file.place()
        times = self._min_at_us, self._max_at_us
        return ArchiveFile(self.path, self.table, self.file.rows, size, *times, layout=self.layout)


def layout_of(schema: pa.Schema) -> str:
    """The same where names, order and types of the columns are."""
    said = "\n".join(f"{field.name}\0{field.type}" for field in schema)
    return blake2b(said.encode(), digest_size=8).hexdigest()
