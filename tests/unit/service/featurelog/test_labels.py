"""Which label belongs to which prediction: the SQL against a join in plain Python, in any order."""

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contract import Kind
from service.featurelog.chunk import Run
from service.featurelog.columns import FEEDBACK, FEEDBACK_FIELDS, REQUEST_FIELDS, REQUESTS, parts
from service.featurelog.labels import BY_VERSION, LABELS, TOTALS, LabelReport, labelled, report
from service.featurelog.record import Block, Feedback, Outcome, Record, Request, Schema, SchemaColumn

pytestmark = pytest.mark.slow

SCHEMAS = {
    0: Schema(0, "payments", "1", "sha256:1", (SchemaColumn("x", Kind.INT),), ()),
    1: Schema(1, "images", "1", "sha256:2", (), ()),
}


class Placed(NamedTuple):
    """A record with the identity that it has in the log."""

    writer: str
    seq: int
    record: Record


def asked(at_us: int, name: str, n: int, *, outcome: Outcome = Outcome.ANSWERED, schema: int = 0) -> Request:
    block = Block(n, b"".join(number.to_bytes(8, "little") for number in range(n))) if schema == 0 else None
    return Request(at_us, name, outcome, 200, "", "v1", schema, "payments", "stable", 0, 1, n, 0, 0, 0, block)


def said(at_us: int, name: str, row: int, label: Any, observed_us: int) -> Feedback:
    return Feedback(at_us, name, row, label, observed_us)


def asked_of(
    records: Sequence[Placed], kinds: Sequence[str] = ("label_number",)
) -> tuple[list[dict[str, Any]], LabelReport]:
    """The rows of `labelled`, and the report."""
    with duckdb.connect() as connection:
        for table, fields in ((REQUESTS, REQUEST_FIELDS), (FEEDBACK, FEEDBACK_FIELDS)):
            found = [
                part for place in records for part in parts(Run(place.writer, 1, [(place.seq, place.record)], SCHEMAS))
            ]
            rows = [
                part.rows.append_column("model", pa.repeat(part.model, len(part.rows))).append_column(
                    "version", pa.repeat(part.version, len(part.rows))
                )
                for part in found
                if part.table == table
            ]
            connection.register(table, pa.concat_tables([fields.empty_table(), *rows], promote_options="permissive"))
        connection.execute(f"CREATE VIEW labels AS {LABELS}")
        totals = connection.execute(TOTALS).fetchall()
        versions = connection.execute(BY_VERSION.format(where="true")).fetchall() if any(records) else []
        return connection.sql(labelled(kinds)).to_arrow_table().to_pylist(), report(totals, versions)


labels_ = st.sampled_from([0.0, 1.0, 2.5, None])
records_ = st.one_of(
    st.builds(
        asked,
        st.integers(0, 50),
        st.sampled_from("abc"),
        st.integers(0, 3),
        outcome=st.sampled_from([Outcome.ANSWERED, Outcome.ANSWERED, Outcome.REJECTED]),
    ),
    st.builds(said, st.integers(0, 50), st.sampled_from("abcd"), st.integers(0, 3), labels_, st.integers(0, 20)),
)


@st.composite
def logs(draw: st.DrawFn) -> list[Placed]:
    """Records of two writers in any order of reading; one request at least, so that the columns are known."""
    records = [asked(0, "a", 2), *draw(st.lists(records_, max_size=25))]
    placed = [Placed(draw(st.sampled_from(["w0", "w1"])), seq, record) for seq, record in enumerate(records)]
    return draw(st.permutations(placed))


@settings(deadline=None, max_examples=150)
@given(logs())
def test_labels_are_joined_as_a_plain_loop_joins_them_in_whatever_order_they_are_read(log: list[Placed]) -> None:
    rows, found = asked_of(log)
    answered = [
        ((p.record.request_id, row), p.record.at_us)
        for p in log
        if isinstance(p.record, Request) and p.record.outcome is Outcome.ANSWERED
        for row in range(p.record.rows)
    ]
    sent: dict[tuple[str, int], list[Placed]] = {}
    for place in log:
        if isinstance(place.record, Feedback):
            sent.setdefault((place.record.request_id, place.record.row), []).append(place)
    newest = {
        key: max(some, key=lambda p: (p.record.observed_us, p.record.at_us, p.writer, p.seq)).record  # type: ignore[union-attr]
        for key, some in sent.items()
    }
    expected = [(*key, newest[key].label) for key, _ in answered if key in newest and newest[key].label is not None]
    assert sorted((row["request_id"], row["row"], row["label"]) for row in rows) == sorted(expected)
    times = Counter(key for key, _ in answered)
    said_ = {key: {p.record.label for p in some} for key, some in sent.items()}  # type: ignore[union-attr]
    assert found.received == sum(map(len, sent.values()))
    assert found.joined == sum(key in times for key in sent)
    assert sum(found.unknown.values()) == sum(key not in times for key in sent)
    assert found.duplicate == sum(len(some) - len(said_[key]) for key, some in sent.items())
    assert found.changed == sum(len(values) - 1 for values in said_.values())
    assert found.repeated == sum(times[key] > 1 for key in sent)
    assert found.received == found.joined + sum(found.unknown.values()) + found.duplicate + found.changed
    if answered:
        (version,) = found.versions
        joined = [(key, at_us) for key, at_us in answered if key in newest]
        delays = [(newest[key].observed_us - at_us) / 1e6 for key, at_us in joined]
        assert (version.answered, version.joined) == (len(answered), len(joined))
        assert version.unknowable == sum(newest[key].label is None for key, _ in joined)
        assert version.waiting == len(answered) - len(joined)
        assert version.delay_s == (pytest.approx(median(delays)) if delays else None)


def test_why_a_label_belongs_to_no_prediction_is_told() -> None:
    log = [
        asked(0, "a", 2),
        asked(0, "b", 2, outcome=Outcome.REJECTED),
        asked(0, "c", 2, schema=1),
        said(1, "a", 2, 1, 1),
        said(1, "b", 0, 1, 1),
        said(1, "c", 1, 1, 1),
        said(1, "c", 2, 1, 1),
        said(1, "z", 0, 1, 1),
    ]
    _, found = asked_of([Placed("w0", seq, record) for seq, record in enumerate(log)])
    assert found.unknown == {"no_such_request": 1, "no_such_row": 2, "no_values": 1, "not_answered": 1}


def test_the_later_observation_counts_whatever_arrived_later() -> None:
    log = [said(5, "a", 0, 1.0, 100), said(9, "a", 0, 0.0, 50), said(9, "a", 0, 1.0, 70), asked(20, "a", 1)]
    rows, found = asked_of([Placed("w0", seq, record) for seq, record in enumerate(log)])
    assert [row["label"] for row in rows] == [1.0]
    assert (found.received, found.joined, found.duplicate, found.changed) == (3, 1, 1, 1)


def test_labels_of_several_kinds_are_text_and_each_kind_has_its_column() -> None:
    log = [asked(0, "a", 3), said(1, "a", 0, "fraud", 1), said(1, "a", 1, True, 1), said(1, "a", 2, 7, 1)]
    rows, _ = asked_of(
        [Placed("w0", seq, record) for seq, record in enumerate(log)], ("label_number", "label_text", "label_bool")
    )
    assert [row["label"] for row in sorted(rows, key=lambda row: row["row"])] == ["fraud", "true", "7.0"]
    assert [row["label_bool"] for row in sorted(rows, key=lambda row: row["row"])] == [None, True, None]


def test_a_report_without_labels_is_all_zero() -> None:
    _, found = asked_of([Placed("w0", 0, asked(0, "a", 2))])
    assert (found.received, found.joined, found.unknown) == (0, 0, {})
    assert [(one.answered, one.waiting, one.share, one.delay_s) for one in found.versions] == [(2, 2, 0.0, None)]
    assert found.as_json()["versions"][0]["labelled_share"] == 0.0
