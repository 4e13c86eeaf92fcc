"""Rows of an incident are shown as the log holds them, and nothing of a private column is."""

import struct

from models.contract import Kind, Privacy
from monitoring.console.rows import UNKEPT, rows_of
from monitoring.explain.story import Example, HeldRow, Story
from monitoring.picture import gallery_of
from service.featurelog.record import Schema, SchemaColumn
from tests.unit.monitoring.console.made import RULES, folded

SCHEMA = Schema(
    0,
    "payments",
    "1",
    "sha256:a",
    (
        SchemaColumn("amount", Kind.FLOAT),
        SchemaColumn("age", Kind.INT),
        SchemaColumn("city", Kind.STRING, ("oslo", "riga")),
        SchemaColumn("iban", Kind.STRING),
    ),
    (SchemaColumn("score", Kind.FLOAT),),
    private={"age": Privacy.BUCKET, "iban": Privacy.HASH},
)


def bits(value: float) -> int:
    found: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return found


def test_values_are_read_by_kind_and_private_columns_are_named_only() -> None:
    rows = (
        HeldRow((bits(1.5), 77, 1, -1, bits(0.25)), texts=((3, "secret-hash"),)),
        HeldRow((bits(float("nan")), 77, -1, -1, bits(1.0)), nulls=(4,), texts=((2, "bergen"),)),
        HeldRow((bits(2.0), 77, -1, -1, bits(1.0))),
    )
    story = Story(columns=(), examples=tuple(Example(f"r{i}", i, 60.0) for i in range(3)), rows=rows)
    shown = rows_of(story, SCHEMA)
    assert shown.columns == ("amount", "city", "score")
    assert shown.hidden == ("age", "iban")
    assert [one.values for one in shown.rows] == [
        (1.5, "riga", 0.25),
        ("nan", "bergen", None),
        (2.0, UNKEPT, 1.0),
    ]
    assert "secret-hash" not in repr(shown)
    assert "77" not in repr(shown)


def test_the_rows_of_a_real_incident_are_kept_and_begin_with_what_changed() -> None:
    state = folded(minutes=30, scale=1000.0)
    found = gallery_of(state, RULES).story("payments", "1")
    assert found is not None
    shown = rows_of(*found)
    assert len(shown.rows) == len(found[0].examples) > 0
    assert (shown.columns[0], shown.hidden) == ("f0", ())
    assert all(isinstance(row.values[0], float) and abs(row.values[0]) > 1 for row in shown.rows)
    assert all(row.values[shown.columns.index("city")] in ("berlin", "lisbon", "oslo", "riga") for row in shown.rows)
