"""Drift of features that are kept back: watched where something is still seen, and never mistaken for drift."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from models.baseline import SPECIALS, Baseline, Special
from models.contract import Column, Kind, Privacy
from models.free_text import column_of_texts
from models.private import kept_back
from monitoring.reference import Reference
from monitoring.tally import tally_requests
from service.featurelog.privacy import PrivateBlocks
from service.featurelog.record import Outcome, Problem, Request, Schema, SchemaColumn, SkewKind
from service.rows import BlockPlan
from tests.unit.monitoring.made import CITIES, Model, model

KEY = b"k" * 32
PRIVACY = {"f0": Privacy.BUCKET, "f1": Privacy.HASH, "f2": Privacy.DROP, "city": Privacy.HASH}


def private(made: Model) -> tuple[Model, PrivateBlocks]:
    contract, baseline = kept_back(made.contract, made.baseline, PRIVACY)
    assert baseline is not None
    blocks = PrivateBlocks(contract.features, KEY)
    schema = msgspec.structs.replace(made.schema, features=blocks.schema(), private=PRIVACY)
    return replace(made, schema=schema, baseline=baseline, contract=contract), blocks


def asked(block: object, rows: int) -> Request:
    return Request(0, "r", Outcome.ANSWERED, 200, "", "v1", 0, "payments", "stable", 0, 1, rows, 0, 0, 0, block)  # type: ignore[arg-type]


def drawn(rows: int) -> list[tuple[object, ...]]:
    rng = np.random.default_rng(5)
    numbers, cities = rng.normal(size=(rows, 3)), rng.integers(0, len(CITIES) + 1, rows)
    return [(*row, (*CITIES, "atlantis")[city]) for row, city in zip(numbers.tolist(), cities.tolist(), strict=True)]


def test_buckets_and_hashed_categories_are_counted_in_the_bins_of_the_values() -> None:
    made = model(floats=3, rows=2000)
    kept, blocks = private(made)
    rows = drawn(500)
    open_, closed = made.reference, kept.reference
    seen = tally_requests([asked(BlockPlan(made.contract.features).block(rows), 500)], open_).columns
    hidden = tally_requests([asked(blocks.block(rows), 500)], closed).columns
    assert seen is not None
    assert hidden is not None
    names = [column.name for column in closed.columns]
    assert names == ["f0", "f1", "city", "score"]
    for before, after in ((0, 0), (3, 2)):
        assert open_.bins(seen, before).tolist() == closed.bins(hidden, after).tolist()
        assert open_.bins(open_.baseline, before).tolist() == closed.bins(closed.baseline, after).tolist()
    assert not set(closed.columns[2].labels()) & set(CITIES)
    assert closed.bins(hidden, 1)[Special.UNSEEN] == 500
    assert closed.bins(closed.baseline, 1)[Special.UNSEEN] == 2000


@pytest.mark.parametrize("privacy", [Privacy.HASH, Privacy.BUCKET])
def test_free_text_that_is_kept_back_is_watched_for_nulls_only(privacy: Privacy) -> None:
    merchant = Column(name="merchant", kind=Kind.STRING, nullable=True)
    texts = np.array(["often"] * 400 + [f"shop {number}" for number in range(600)], dtype=np.object_)
    reference, _ = column_of_texts(merchant, texts, np.arange(1000) % 100 == 0)
    blocks = PrivateBlocks([msgspec.structs.replace(merchant, privacy=privacy)], KEY)
    private = {"merchant": privacy}
    schema = Schema(0, "m", "1", "sha256:x", blocks.schema(), (), private)
    # also where the baseline is older than the privacy and still has the values
    held = Reference.of(schema, Baseline(rows=1000, features=(reference,), outputs=()))
    counts = tally_requests([asked(blocks.block([("often",), ("shop 5",), (None,)]), 3)], held).columns
    assert counts is not None
    assert held.columns[0].bins == SPECIALS
    assert held.bins(counts, 0)[[Special.UNSEEN, Special.NULL]].tolist() == [2, 1]
    assert held.bins(held.baseline, 0)[[Special.UNSEEN, Special.NULL]].tolist() == [990, 10]


def test_a_dropped_feature_is_in_no_check_and_its_faults_are_no_skew() -> None:
    kept, _ = private(model())
    reference = kept.reference
    assert "f2" not in [column.name for column in reference.columns]
    problems = [Problem(SkewKind.NULL, "f2", 1), Problem(SkewKind.NULL, "f0", 1)]
    rejected = Request(0, "r", Outcome.REJECTED, 400, "x", "v1", 0, "m", "", 0, 1, 1, 0, 0, 0, problems=problems)
    counts = tally_requests([rejected], reference).columns
    assert counts is not None
    assert counts[reference.starts[0] + Special.NULL] == 1
    assert counts[: reference.starts[-1]].sum() == 1
    assert counts[reference.starts[-1] :].tolist() == [0, 1, 0, 0]


def test_nothing_of_the_training_values_stays_of_what_is_dropped_or_a_hashed_number() -> None:
    made = model()
    kept, _ = private(made)
    for place in (1, 2):
        column, reference = kept.contract.features[place], kept.baseline.features[place]
        assert (column.low, column.high, reference.edges, reference.mean) == (None, None, (), None)
    assert kept.baseline.features[2].counts == (0,) * (SPECIALS + 1)
    assert kept.baseline.features[1].n == made.baseline.rows
    assert kept.contract.features[0].edges == made.baseline.features[0].edges


def test_a_schema_that_is_private_in_another_way_than_the_baseline_has_no_baseline() -> None:
    made = model()
    features = (SchemaColumn("f0", Kind.STRING), *made.schema.features[1:])
    schema = msgspec.structs.replace(made.schema, features=features)
    assert Reference.of(schema, made.baseline).judged == (4,)
