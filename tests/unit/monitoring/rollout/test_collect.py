from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.rollout.collect import Collector
from monitoring.rollout.evidence import Minute, Part
from service.featurelog.chunk import Chunk, Run
from service.featurelog.record import Outcome, Record, Request, Shadow
from tests.unit.monitoring.made import MINUTE_US, START_MINUTE, START_US, heartbeat, model, refused, request, rows

STABLE, CANARY = model(version="1"), model(version="2", digest="sha256:" + "b" * 64)
OTHER = model(version="2", digest="sha256:" + "c" * 64, output="chance")
REFERENCES = {**STABLE.references(), **CANARY.references(), **OTHER.references()}
SCHEMAS = {0: STABLE.schema, 1: msgspec.structs.replace(CANARY.schema, id=1)}
END = heartbeat(START_US + 3 * MINUTE_US)


def asked(
    second: float, arm: str, *, bucket: int = -1, schema: int | None = None, n: int = 1, name: str = ""
) -> Request:
    """An answered request of one arm."""
    at_us = START_US + int(second * 1e6)
    made = request(at_us, rows(n, np.random.default_rng(at_us)), request_id=name or f"r{second}", arm=arm)
    number = int(arm == "canary") if schema is None else schema
    return msgspec.structs.replace(made, schema=number, bucket=bucket)


def chunk(*records: Record, writer: str = "w0") -> Chunk:
    return Chunk((Run(writer, 1, list(enumerate(records)), SCHEMAS),), (), caught_up=True)


def collected(*chunks: Chunk, version: str = "2", from_minute: int = 0) -> list[Minute]:
    collector = Collector("payments", version, 5, from_minute)
    return [minute for one in chunks for minute in collector.take(one, settled=True, references=REFERENCES)]


def counts(arm: np.ndarray) -> dict[str, int]:
    return {"requests": int(arm[Part.REQUESTS]), "outputs": int(arm[Part.OUTPUTS :].sum())}


def test_a_minute_holds_both_arms_and_nothing_of_anybody_else() -> None:
    pinned, tester = asked(3, "pinned", schema=1), asked(4, "tester", schema=1)
    shadow = Shadow(START_US, "r", 1, Outcome.ANSWERED, "", 1, 100)
    (minute,) = collected(chunk(asked(1, "stable"), asked(2, "canary"), pinned, tester, shadow, END))
    assert minute.number == START_MINUTE
    assert counts(minute.canary) == counts(minute.stable) == {"requests": 1, "outputs": 1}
    assert minute.canary[Part.LATENCY : Part.OUTPUTS].sum() == 1


def test_an_earlier_canary_and_a_version_that_is_stable_already_are_not_this_rollout() -> None:
    assert collected(chunk(asked(1, "canary", schema=0), asked(2, "stable", schema=1), END)) == []


def test_outcomes_are_counted_by_whose_fault_they_are() -> None:
    ends = [(Outcome.FAILED, 2), (Outcome.SHED, 1), (Outcome.REJECTED, 3)]
    records = [refused(START_US, outcome, schema=1, arm="canary") for outcome, n in ends for _ in range(n)]
    (minute,) = collected(chunk(*records, END))
    assert minute.canary[: Part.LATENCY].tolist() == [6, 3, 3, 0, 0]


def test_the_share_is_read_from_the_buckets() -> None:
    steady = [asked(1, "canary", bucket=480), asked(2, "stable", bucket=510)]
    (minute,) = collected(chunk(*steady, END))
    assert (minute.low_bp, minute.high_bp, minute.steady) == (481, 510, True)
    assert minute.shows(5)
    assert not minute.shows(1)
    (mixed,) = collected(chunk(*steady, asked(3, "stable", bucket=120), END))
    assert not mixed.steady


def test_one_row_of_a_request_is_a_witness_and_always_the_same() -> None:
    many = [asked(1, "canary", n=50, name="a"), asked(2, "stable", n=50, name="b")]
    first, again = collected(chunk(*many, END)), collected(chunk(*many, END))
    assert counts(first[0].canary) == {"requests": 1, "outputs": 1}
    assert (first[0].canary == again[0].canary).all()


def test_a_canary_with_other_outputs_has_none_to_compare() -> None:
    schemas = {0: STABLE.schema, 1: msgspec.structs.replace(OTHER.schema, id=1)}
    run = Run("w0", 1, list(enumerate([asked(1, "stable"), asked(2, "canary"), END])), schemas)
    (minute,) = collected(Chunk((run,), (), caught_up=True))
    assert counts(minute.canary) == {"requests": 1, "outputs": 0}
    assert counts(minute.stable) == {"requests": 1, "outputs": 1}


def test_both_arms_stand_in_the_bins_of_stables_training() -> None:
    (minute,) = collected(chunk(asked(1, "stable"), asked(2, "canary"), END))
    bins = STABLE.reference.columns[-1].bins
    assert len(minute.canary) == len(minute.stable) == Part.OUTPUTS + bins


def test_a_minute_is_closed_once_and_what_comes_later_is_counted() -> None:
    collector = Collector("payments", "2", 5)
    first = chunk(asked(1, "stable"), asked(2, "canary"), heartbeat(START_US + MINUTE_US + 4_000_000))
    assert collector.take(first, settled=True, references=REFERENCES) == []
    (minute,) = collector.take(chunk(heartbeat(START_US + MINUTE_US + 5_000_000)), settled=True, references=REFERENCES)
    assert collector.take(chunk(asked(3, "canary"), END), settled=True, references=REFERENCES) == []
    assert (minute.number, collector.late) == (START_MINUTE, 1)


def test_an_unsettled_chunk_closes_nothing() -> None:
    collector = Collector("payments", "2", 5)
    assert collector.take(chunk(asked(1, "stable"), END), settled=False, references=REFERENCES) == []


def test_minutes_before_the_first_are_no_evidence() -> None:
    records = [asked(second, arm) for second in (1, 61) for arm in ("stable", "canary")]
    assert [minute.number for minute in collected(chunk(*records, END), from_minute=START_MINUTE + 1)] == [
        START_MINUTE + 1
    ]


@given(st.permutations(range(8)), st.integers(1, 8))
def test_neither_order_nor_borders_show(order: Sequence[int], border: int) -> None:
    records = [asked(second, "canary" if second % 3 else "stable", bucket=100 + second) for second in range(8)]
    (expected,) = collected(chunk(*records, END))
    shuffled = [records[place] for place in order]
    (minute,) = collected(chunk(*shuffled[:border]), chunk(*shuffled[border:], END, writer="w1"))
    for part in ("canary", "stable"):
        assert (getattr(minute, part) == getattr(expected, part)).all()
    assert (minute.low_bp, minute.high_bp) == (expected.low_bp, expected.high_bp)


@pytest.mark.parametrize("nulls", [None, bytes(3)])
def test_a_block_that_contradicts_its_schema_is_not_read(nulls: bytes | None) -> None:
    bad = asked(1, "canary")
    bad = msgspec.structs.replace(bad, outputs=msgspec.structs.replace(bad.outputs, cells=b"123", nulls=nulls))
    (minute,) = collected(chunk(bad, asked(2, "stable"), END))
    assert counts(minute.canary) == {"requests": 1, "outputs": 0}
