import math
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import Kind
from service.featurelog.chunk import Run
from service.featurelog.columns import FEEDBACK, NOBODY, REQUEST_FIELDS, REQUESTS, SHADOWS, Part, parts
from service.featurelog.readable import rows as readable_rows
from service.featurelog.record import (
    Block,
    Feedback,
    Ledger,
    Outcome,
    Problem,
    Record,
    Request,
    Schema,
    SchemaColumn,
    Shadow,
    SkewKind,
    TensorNote,
)
from tests.golden import featurelog as golden
from tests.unit.service.featurelog.writing import EVERY_KIND, MIXED, request

FLOATS = Schema(0, "sums", "1", "sha256:f", (SchemaColumn("a", Kind.FLOAT), SchemaColumn("b", Kind.FLOAT)), ())


def asked(schema: int, features: Block | None, outputs: Block | None = None, **changed: Any) -> Request:
    return msgspec.structs.replace(request(0), schema=schema, features=features, outputs=outputs, **changed)


def made(*records: Record, schemas: dict[int, Schema] | None = None) -> list[Part]:
    return parts(Run("w0", 4, list(enumerate(records)), schemas or {0: FLOATS, 3: MIXED}))


def only(*records: Record, schemas: dict[int, Schema] | None = None) -> list[dict[str, Any]]:
    (part,) = made(*records, schemas=schemas)
    found: list[dict[str, Any]] = part.rows.to_pylist()
    return found


def test_nan_infinity_and_null_stay_apart_and_a_code_is_its_text() -> None:
    cells = (
        struct.pack("<dqqq", math.nan, -(2**63), 1, 0)
        + struct.pack("<dqqq", -math.inf, 2**63 - 1, 0, -1)
        + struct.pack("<dqqq", -0.0, 0, 7, 1)
        + bytes(32)
    )
    block = Block(4, cells, bytes(12) + b"\x01" * 4, [(1, 3, "ålesund 🐟")])
    found = only(asked(3, block, Block(4, struct.pack("<dddd", 0.25, math.inf, math.nan, 1))))
    assert [row["row"] for row in found] == [0, 1, 2, 3]
    assert math.isnan(found[0].pop("amount")) and math.copysign(1, found[2]["amount"]) == -1
    assert found[1]["amount"] == -math.inf and found[3]["amount"] is None
    assert [row["count"] for row in found] == [-(2**63), 2**63 - 1, 0, None]
    assert [row["flag"] for row in found] == [True, False, True, None]
    assert [row["city"] for row in found] == ["oslo", "ålesund 🐟", "rome", None]
    assert found[0]["score"] == 0.25 and math.isnan(found[2]["score"])


def test_narrow_and_wide_blocks_of_one_schema_are_read_together() -> None:
    wide, narrow = Block(1, struct.pack("<dd", 0.1, 2)), Block(2, struct.pack("<ffff", 0.5, math.nan, 4, 5))
    found = only(asked(0, wide), asked(0, narrow), asked(0, wide))
    assert [row["a"] for row in found] == [0.1, 0.5, 4.0, 0.1]
    assert math.isnan(found[1]["b"]) and found[2]["b"] == 5.0
    assert [row["a"] for row in only(asked(0, narrow))] == [0.5, 4.0]


def test_a_record_without_valid_rows_is_one_row_numbered_minus_one() -> None:
    block = Block(2, struct.pack("<dddd", 1, 2, 3, 4))
    found = only(asked(0, None, outcome=Outcome.SHED), asked(0, block), asked(0, Block(0, b"")))
    assert [(row["seq"], row["row"], row["a"]) for row in found] == [
        (0, -1, None),
        (1, 0, 1.0),
        (1, 1, 3.0),
        (2, -1, None),
    ]


def test_every_field_of_a_request_has_its_column() -> None:
    problem, tensor = Problem(SkewKind.NULL, "amount", 2), TensorNote("image", "float32", (1, 2), "ab", 0.5, None)
    record = Request(
        1_764_000_000_000_001, "id", Outcome.REJECTED, 400, "invalid_input", "v1", 3, "payments", "canary",
        41, 7, 2, 12, 34, 56, None, None, [problem], [tensor],
    )  # fmt: skip
    (part,) = made(record)
    assert (part.table, part.model, part.version, part.date) == (REQUESTS, "payments", "2", "2025-11-24")
    (row,) = part.rows.to_pylist()
    assert row.pop("arrived_at").isoformat() == "2025-11-24T16:00:00.000001+00:00"
    assert row == {
        "request_id": "id", "row": -1, "writer": "w0", "epoch": 4, "seq": 0, "outcome": "rejected", "status": 400,
        "code": "invalid_input", "protocol": "v1", "arm": "canary", "bucket": 41, "generation": 7, "digest": MIXED.digest,
        "rows": 2, "queue_us": 12, "compute_us": 34, "total_us": 56, "asked_model": "payments",
        "problems": [{"kind": "null", "column": "amount", "rows": 2}],
        "tensors": [{"name": "image", "datatype": "float32", "shape": [1, 2], "sha256": "ab", "mean": 0.5, "std": None}],
        "amount": None, "count": None, "flag": None, "city": None, "score": None,
    }  # fmt: skip


def test_what_a_client_calls_a_model_makes_no_folder() -> None:
    unknown, known = asked(-1, None, model="../etc"), asked(-1, None, model="payments")
    assert [(part.model, part.version) for part in made(unknown, known)] == [(NOBODY, NOBODY), ("payments", NOBODY)]
    assert [row["asked_model"] for row in made(unknown, known)[0].rows.to_pylist()] == ["../etc"]


def test_problems_and_tensors_stand_in_the_first_row_of_their_request() -> None:
    block = Block(2, struct.pack("<dddd", 1, 2, 3, 4))
    note = TensorNote("image", "float32", (1, 2), "ab", 0.5, None)
    found = only(asked(0, block), asked(0, block, tensors=[note]))
    assert [row["tensors"] is None for row in found] == [True, True, False, True]


def test_shadows_and_labels_have_tables_of_their_own_and_the_ledger_has_none() -> None:
    shadow = Shadow(5, "r0", 3, Outcome.ANSWERED, "", 2, 9, Block(2, struct.pack("<dd", 0.25, 0.5)))
    failed = Shadow(5, "r1", 3, Outcome.FAILED, "runtime_failed", 1, 9)
    labels = [Feedback(6, "r0", row, label, 7) for row, label in enumerate([1, 0.5, "fraud", True, None])]
    by_table = {part.table: part.rows.to_pylist() for part in made(shadow, failed, *labels, Ledger(0, 0, {}, {}, {}))}
    assert set(by_table) == {SHADOWS, FEEDBACK}
    assert [(row["request_id"], row["row"], row["score"]) for row in by_table[SHADOWS]] == [
        ("r0", 0, 0.25), ("r0", 1, 0.5), ("r1", -1, None),
    ]  # fmt: skip
    assert [(row["label_number"], row["label_text"], row["label_bool"]) for row in by_table[FEEDBACK]] == [
        (1.0, None, None), (0.5, None, None), (None, "fraud", None), (None, None, True), (None, None, None),
    ]  # fmt: skip
    assert [row["row"] for row in by_table[FEEDBACK]] == [0, 1, 2, 3, 4]


def test_a_day_ends_at_midnight_utc() -> None:
    midnight_us = 20_000 * 86_400_000_000
    dates = [part.date for part in made(asked(0, None, at_us=midnight_us - 1), asked(0, None, at_us=midnight_us))]
    assert dates == ["2024-10-03", "2024-10-04"]


def test_a_name_that_is_taken_gets_a_prefix_also_in_other_case() -> None:
    names = ("arrived_at", "Status", "amount", "AMOUNT", "date", "label")
    columns = tuple(SchemaColumn(name, Kind.FLOAT) for name in names)
    outputs = tuple(SchemaColumn(name, Kind.FLOAT) for name in ("amount", "row"))
    schema = Schema(1, "m", "1", "d", columns, outputs)
    (part,) = made(
        asked(1, Block(1, struct.pack("<6d", *range(6))), Block(1, struct.pack("<2d", 6, 7))), schemas={1: schema}
    )
    assert part.rows.column_names[len(REQUEST_FIELDS) :] == [
        "feature.arrived_at", "feature.Status", "amount", "feature.AMOUNT", "feature.date", "feature.label",
        "output.amount", "output.row",
    ]  # fmt: skip
    assert part.rows.to_pylist()[0]["output.amount"] == 6.0


@pytest.mark.parametrize(
    ("features", "outputs"),
    [
        (Block(10**12, b""), None),
        (Block(1, bytes(15)), None),
        (Block(1, bytes(16), b"\x00"), None),
        (Block(1, bytes(16)), Block(2, bytes(16))),
    ],
    ids=["rows without cells", "half a cell", "too few null marks", "outputs where there are none"],
)
def test_a_block_that_contradicts_its_schema_is_counted_and_its_values_are_null(
    features: Block, outputs: Block | None
) -> None:
    (part,) = made(asked(0, features, outputs))
    assert part.malformed == 1
    assert part.rows.num_rows == 1


def test_a_schema_that_was_lost_leaves_the_record_without_values() -> None:
    (part,) = made(asked(9, Block(1, bytes(16))))
    assert (part.model, part.malformed, part.rows["row"].to_pylist()) == (NOBODY, 1, [-1])


def test_codes_and_texts_that_mean_nothing_are_null() -> None:
    cells = struct.pack("<dqqq", 0, 0, 0, 2) + struct.pack("<dqqq", 0, 0, 0, -1)
    assert [row["city"] for row in only(asked(3, Block(2, cells, None, [(7, 3, "x")])))] == [None, None]


def test_the_golden_log_has_a_row_for_every_instance() -> None:
    schemas = {number: msgspec.structs.replace(schema, id=number) for number, schema in enumerate(golden.SCHEMAS)}
    found = made(*golden.records(), schemas=schemas)
    assert {(part.table, part.model, part.version): part.rows.num_rows for part in found} == {
        (REQUESTS, "payments", "1"): 4 + 1 + 4 + 1,
        (REQUESTS, "payments", "2"): 4,
        (REQUESTS, NOBODY, NOBODY): 1,
        (REQUESTS, "images", "1"): 1,
        (SHADOWS, "payments", "1"): 4 + 1,
        (FEEDBACK, "", ""): 4,
    }
    assert sum(part.malformed for part in found) == 0


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Sound blocks of EVERY_KIND."""
    n = draw(st.integers(1, 4))
    cells, nulls, text = b"", b"", []
    for row in range(n):
        code = draw(st.integers(-1, 1))
        marks = draw(st.lists(st.sampled_from([0, 0, 1]), min_size=4, max_size=4))
        if code < 0 and not marks[3]:
            text.append((row, 3, draw(st.text(max_size=4))))
        cell = struct.pack(
            "<dqqq", draw(st.floats(allow_nan=False)), draw(st.integers(-9, 9)), draw(st.integers(0, 1)), code
        )
        cells += b"".join(bytes(8) if mark else cell[8 * i : 8 * i + 8] for i, mark in enumerate(marks))
        nulls += bytes(marks)
    return Block(n, cells, draw(st.sampled_from([nulls])) if any(nulls) else None, text or None)


@given(st.lists(st.one_of(st.none(), blocks()), min_size=1, max_size=6))
def test_rows_read_together_are_the_rows_read_one_by_one(given: list[Block | None]) -> None:
    found = only(*[asked(3, block) for block in given])
    expected = []
    for block in given:
        expected += [dict.fromkeys(c.name for c in EVERY_KIND)] if block is None else readable_rows(block, EVERY_KIND)
    assert [{column.name: row[column.name] for column in EVERY_KIND} for row in found] == expected
