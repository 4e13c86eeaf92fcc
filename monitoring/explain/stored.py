"""What of the samples and stories survives a restart, and its bytes.

Law: restore(store(s)) goes on exactly as s would: the same rows stay, the same stories are told.
"""

import msgspec
import numpy as np

from monitoring.explain.book import Key, Samples
from monitoring.explain.ladder import Ladder, Slice
from monitoring.explain.sample import Rows, Text
from monitoring.explain.story import Story


class StoredRows(msgspec.Struct, frozen=True, array_like=True):
    hashes: bytes
    at_us: bytes
    numbers: bytes
    cells: bytes
    nulls: bytes
    ids: list[str]
    texts: dict[int, tuple[Text, ...]]  # by place; few rows have any


class StoredLadder(msgspec.Struct, frozen=True, array_like=True):
    key: Key
    columns: int
    k: int
    settled: int
    slices: list[tuple[int, int, StoredRows]]


class StoredSamples(msgspec.Struct, frozen=True):
    """The samples as they are written."""

    ladders: list[StoredLadder]
    stories: list[tuple[tuple[str, str, str], Story]]
    unsampled: int


def store(samples: Samples) -> StoredSamples:
    """The samples as a value to be written."""
    ladders = [
        StoredLadder(
            ((key[0][0], key[0][1], key[0][2]), key[1]),
            ladder.columns,
            ladder.k,
            ladder.settled,
            [(at.minutes, at.number, _pack(rows)) for at, rows in ladder.slices.items()],
        )
        for key, ladder in samples.ladders.items()
    ]
    stories = [((v[0], v[1], v[2]), story) for v, story in samples.stories.items()]
    return StoredSamples(ladders, stories, samples.unsampled)


def restore(stored: StoredSamples) -> Samples:
    """The samples that were written. Raises ValueError."""
    samples = Samples(unsampled=stored.unsampled)
    for held in stored.ladders:
        slices = {Slice(minutes, number): _unpack(rows, held.columns) for minutes, number, rows in held.slices}
        samples.ladders[held.key] = Ladder(held.columns, held.k, slices, held.settled)
    samples.stories.update(stored.stories)
    return samples


def _pack(rows: Rows) -> StoredRows:
    texts = {i: texts for i, texts in enumerate(rows.texts.tolist()) if texts}
    return StoredRows(
        hashes=rows.hashes.tobytes(),
        at_us=rows.at_us.tobytes(),
        numbers=rows.numbers.tobytes(),
        cells=rows.cells.tobytes(),
        nulls=np.packbits(rows.nulls).tobytes(),
        ids=rows.ids.tolist(),
        texts=texts,
    )


def _unpack(held: StoredRows, columns: int) -> Rows:
    n = len(held.ids)
    texts = np.zeros(n, dtype=np.object_)
    texts[:] = [held.texts.get(i, ()) for i in range(n)]
    nulls = np.unpackbits(np.frombuffer(held.nulls, dtype=np.uint8), count=n * columns)
    return Rows(
        np.frombuffer(held.hashes, dtype=np.uint64),
        np.frombuffer(held.at_us, dtype=np.int64),
        np.frombuffer(held.numbers, dtype=np.int64),
        np.frombuffer(held.cells, dtype=np.int64).reshape(n, columns),
        nulls.astype(np.bool_).reshape(n, columns),
        np.array(held.ids, dtype=np.object_),
        texts,
    )
