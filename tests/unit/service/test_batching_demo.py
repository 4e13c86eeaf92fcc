"""The same answer alone and in a batch, for every demo model that ships."""

import asyncio
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contract import Column, Kind
from models.lock_file import LockFile
from models.pool import Pool
from models.registry import Registry
from models.tensors import Array
from service.batching import Batcher
from service.joined import PROOFS
from service.rows import Row, Table
from service.seeding import seed
from service.served import ServedVersion
from service.settings import Settings
from tests.unit.service.gates import FAR_NS, run

TOLERANCE = 1e-5
DEMO = (("payments", "1"), ("payments", "2"), ("tumours", "1"))


@cache
def version(name: str, number: str) -> ServedVersion:
    with TemporaryDirectory() as place:
        home = Settings(home=Path(place))
        assert seed(home) == []
        pin = LockFile(home.lock_path).read().find(name, number)
        assert pin is not None
        return ServedVersion(Pool(Registry(home.registry_root), threads=1).load(pin))


def cell(column: Column, rng: np.random.Generator) -> Any:
    if column.nullable and rng.random() < 0.1:
        return None
    low, high = column.low or 0.0, column.high or 1.0
    match column.kind:
        case Kind.STRING:
            return str(rng.choice([*(column.categories or ()), "never seen"]))
        case Kind.BOOL:
            return bool(rng.random() < 0.5)
        case Kind.INT:
            return int(rng.integers(int(low), int(high) + 1))
        case Kind.FLOAT:
            return float(rng.uniform(low - 1, high + 1))


def table(served: ServedVersion, rng: np.random.Generator, n: int) -> Table:
    rows: list[Row] = [tuple(cell(column, rng) for column in served.contract.features) for _ in range(n)]
    return Table(rows)


def same(one: Array, other: Array) -> bool:
    if one.dtype.kind == "f":
        return one.shape == other.shape and bool(np.abs(one - other).max() <= TOLERANCE)
    return bool(np.array_equal(one, other))


def test_every_shipped_version_is_tried() -> None:
    with TemporaryDirectory() as place:
        home = Settings(home=Path(place))
        seed(home)
        assert tuple((pin.name, pin.version) for pin in LockFile(home.lock_path).read().pins) == DEMO


@pytest.mark.parametrize(("name", "number"), DEMO)
@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=12),
    max_batch_rows=st.integers(2, 64),
    seed_=st.integers(0, 2**32 - 1),
)
def test_an_answer_is_the_same_alone_and_in_a_batch(
    name: str, number: str, sizes: list[int], max_batch_rows: int, seed_: int
) -> None:
    served, rng = version(name, number), np.random.default_rng(seed_)
    asked = [served.tensors(table(served, rng, n)) for n in sizes]

    async def test(batcher: Batcher) -> None:
        for _ in range(PROOFS + 1):  # before the graph is trusted with joined rows, and after
            ran = await asyncio.gather(
                *(batcher.run(served, inputs, n, FAR_NS) for inputs, n in zip(asked, sizes, strict=True))
            )
        assert batcher._queues[served]._joint.proven
        for inputs, found in zip(asked, ran, strict=True):
            alone = served.session.run(inputs)
            assert all(same(one, other) for one, other in zip(alone, found.outputs, strict=True)), seed_

    run(test, max_batch_rows=max_batch_rows, max_queue_rows=10_000)
