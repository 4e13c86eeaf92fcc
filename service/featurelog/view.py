"""The log as SQL: views over a snapshot, in a database that is nowhere but in memory.

Laws
- A view has every row of the snapshot once; `requests`, `shadows` and `feedback` have the columns of the archive (FORMAT.md §7)
  behind `model`, `version` and `date`, `labels` and `labelled` those of labels.py.
- Whoever asks reads the log and nothing else: no other file, no network, no extension; no setting can be changed.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa

from service.featurelog.columns import FEEDBACK, FEEDBACK_FIELDS, REQUEST_FIELDS, REQUESTS, SHADOW_FIELDS, SHADOWS
from service.featurelog.labels import LABEL_COLUMNS, LABELS, labelled
from service.featurelog.snapshot import Snapshot, Source, empty_file, snapshot

MEMORY_BYTES = 1 << 30  # of DuckDB's own buffers; what does not fit goes to TMPDIR
_TABLES = ((REQUESTS, REQUEST_FIELDS), (SHADOWS, SHADOW_FIELDS), (FEEDBACK, FEEDBACK_FIELDS))


@contextmanager
def database(
    home: Path, *, model: str | None = None, memory_bytes: int = MEMORY_BYTES
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Snapshot]]:
    """The views over the log of this home, and what they stand on. Raises FeatureLogError."""
    with (
        ExitStack() as held,
        snapshot(home / "log", home / "archive", model=model) as found,
        TemporaryDirectory(prefix="plumbline-") as spill,
        duckdb.connect(":memory:", config=_settings(memory_bytes, spill)) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        empty = [Source(table, "", "", (empty_file(fields, held),)) for table, fields in _TABLES]
        for base in empty:
            connection.execute(f"CREATE VIEW {base.table} AS {_union(base, found.sources)}")
        connection.execute(f"CREATE VIEW labels AS {LABELS}")
        connection.execute(f"CREATE VIEW labelled AS {labelled(_kinds(connection))}")
        paths = [path for source in (*empty, *found.sources) for path in source.paths]
        connection.execute(f"SET allowed_paths = [{', '.join(map(_text, paths))}]")
        # The second: what an open file that was unlinked meanwhile has as its name; one that was not goes by its own.
        connection.execute(f"SET allowed_directories = [{_text(spill)}, '/dev/fd']")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection, found


def _settings(memory_bytes: int, spill: str) -> dict[str, str | bool]:
    return {
        "memory_limit": f"{memory_bytes}B",
        "temp_directory": spill,
        "python_enable_replacements": False,  # a variable of ours is no table of yours
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }


def rows_of(source: Source) -> str:
    """SELECT of one version's rows, with its own columns and types."""
    folders = (
        "" if source.table == FEEDBACK else f"{_text(source.model)} AS model, {_text(source.version)} AS version, "
    )
    paths = ", ".join(map(_text, source.paths))
    read = f"read_parquet([{paths}], union_by_name = true, hive_partitioning = false)"
    return f"SELECT {folders}arrived_at::DATE AS date, * FROM {read}"


def _union(base: Source, sources: Sequence[Source]) -> str:
    """By name: a column that a version does not have is null there. `base` has the columns that all have, and no row."""
    alike = (source for source in sources if source.table == base.table)
    return " UNION ALL BY NAME ".join([rows_of(base), *map(rows_of, alike)])


def _kinds(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Which kinds of label occur."""
    counted = ", ".join(f"count({name})" for name in LABEL_COLUMNS)
    (counts,) = connection.execute(f"SELECT {counted} FROM feedback").fetchall()
    return [name for name, n in zip(LABEL_COLUMNS, counts, strict=True) if n]


def _text(value: str) -> str:
    """A literal of SQL."""
    return "'" + value.replace("'", "''") + "'"


def arrow_batches(relation: duckdb.DuckDBPyRelation, rows: int) -> pa.RecordBatchReader:
    """The result as it is computed."""
    return relation.to_arrow_reader(rows)
