from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from models.baseline import SPECIALS, Special
from models.contract import Column, Kind
from models.free_text import column_of_texts
from monitoring.reference import Extra, Reference
from monitoring.tally import OUTCOMES, Traffic, count_blocks, tally_requests, tally_shadows
from service.featurelog.record import Block, Outcome, Problem, Request, Shadow, SkewKind
from tests.unit.monitoring.made import CITIES, START_US, Rows, model, refused, request

MADE = model(rows=500)
REFERENCE = MADE.reference
CITY = MADE.floats
ANY_ROWS = st.lists(
    st.tuples(st.lists(st.floats(), min_size=3, max_size=3), st.integers(-1, len(CITIES) + 3), st.floats()),
    min_size=1,
    max_size=5,
)


def made_rows(given_: list[tuple[list[float], int, float]]) -> Rows:
    floats, cities, scores = zip(*given_, strict=True)
    return Rows(np.array(floats), np.array(cities, dtype=np.int64), np.array(scores))


def bins(requests: Sequence[Request], column: int) -> np.ndarray:
    counts = tally_requests(requests, REFERENCE).columns
    assert counts is not None
    return REFERENCE.bins(counts, column)


@given(st.lists(ANY_ROWS, min_size=1, max_size=6), st.integers(0, 6))
def test_a_tally_of_two_parts_is_the_tally_of_the_whole(parts: list, cut: int) -> None:
    requests = [request(START_US, made_rows(part)) for part in parts]
    whole = tally_requests(requests, REFERENCE)
    first, second = tally_requests(requests[:cut], REFERENCE), tally_requests(requests[cut:], REFERENCE)
    first.add(second)
    assert (first.traffic == whole.traffic).all()
    assert first.columns is not None
    assert (first.columns == whole.columns).all()


@given(st.lists(ANY_ROWS, min_size=1, max_size=4))
def test_every_row_is_in_exactly_one_bin_of_every_column(parts: list) -> None:
    requests = [request(START_US, made_rows(part)) for part in parts]
    counts = tally_requests(requests, REFERENCE).columns
    assert counts is not None
    n = sum(len(part) for part in parts)
    assert all(REFERENCE.bins(counts, j).sum() == n for j in range(len(REFERENCE.columns)))
    assert REFERENCE.extra(counts, Extra.ROWS_ANSWERED) == n


def plain(part: list) -> Request:
    """What was answered to tensors without columns: no features."""
    whole = request(START_US, made_rows(part))
    return Request(**{f: getattr(whole, f) for f in whole.__struct_fields__} | {"features": None})


@given(st.lists(ANY_ROWS, max_size=3), st.lists(ANY_ROWS, max_size=3), st.integers(0, 6))
def test_rows_without_features_are_counted_once_by_their_outputs(tables: list, tensors: list, cut: int) -> None:
    requests = [*map(plain, tensors), *(request(START_US, made_rows(part)) for part in tables)]
    whole, first = tally_requests(requests, REFERENCE), tally_requests(requests[:cut], REFERENCE)
    first.add(tally_requests(requests[cut:], REFERENCE))
    assert whole.columns is not None and first.columns is not None
    assert (first.columns == whole.columns).all()
    assert REFERENCE.extra(whole.columns, Extra.ROWS_ANSWERED) == sum(map(len, [*tables, *tensors]))
    assert REFERENCE.bins(whole.columns, len(REFERENCE.columns) - 1).sum() == sum(map(len, [*tables, *tensors]))


def test_nulls_unseen_texts_and_numbers_that_are_none_have_bins_of_their_own() -> None:
    data = Rows(np.array([[np.nan, 1e9, -1e9], [np.inf, -np.inf, 0.0]]), np.array([-1, 0]), np.array([0.5, 0.5]))
    whole = request(START_US, data)
    assert whole.features is not None
    nulls = bytes([0, 0, 0, 0, 0, 0, 1, 1])
    nullified = Request(
        **{f: getattr(whole, f) for f in whole.__struct_fields__} | {"features": Block(2, whole.features.cells, nulls)}
    )
    assert bins([whole], 0)[[Special.NAN, Special.POS_INF]].tolist() == [1, 1]
    assert bins([whole], 1)[[Special.ABOVE, Special.NEG_INF]].tolist() == [1, 1]
    assert bins([whole], 2)[Special.BELOW] == 1
    assert bins([whole], CITY)[Special.UNSEEN] == 1
    assert bins([nullified], 2)[Special.NULL] == 1
    assert bins([nullified], CITY)[Special.NULL] == 1
    assert bins([whole, nullified], CITY)[[Special.UNSEEN, Special.NULL, SPECIALS]].tolist() == [2, 1, 1]


def test_free_text_is_counted_by_its_frequent_values_and_by_hash_and_never_as_unseen() -> None:
    texts = np.array(["often"] * 30 + ["seldom", "rare"], dtype=np.object_)
    merchant, _ = column_of_texts(Column(name="merchant", kind=Kind.STRING), texts, np.zeros(32, np.bool_))
    reference = Reference.laid_out([REFERENCE.columns[0], merchant])
    codes = np.full((4, 2), -1, "<i8")
    codes[:, 0] = np.zeros(4).view("<i8")
    told = [(0, 1, "often"), (1, 1, "seldom"), (2, 1, "new"), (9, 1, "often")]  # the last row is not there
    block = Block(4, codes.tobytes(), bytes([0, 0, 0, 0, 0, 0, 0, 1]), told)
    counts = np.zeros(reference.size, dtype=np.int64)
    assert count_blocks([block, block], reference, range(2), counts) == (8, 0)
    seen = dict(zip(merchant.labels(), reference.bins(counts, 1).tolist(), strict=True))
    known = dict(zip(merchant.labels(), merchant.counts, strict=True))
    assert (seen["often"], seen["null"], seen["unseen"]) == (2, 2, 0)
    assert sum(seen[label] for label in seen if label.startswith("other#")) == 4
    assert any(seen[label] and known[label] for label in seen if label.startswith("other#"))  # where training's was


def test_free_text_without_its_text_is_unseen() -> None:
    texts = np.array(["often"] * 30, dtype=np.object_)
    merchant, _ = column_of_texts(Column(name="merchant", kind=Kind.STRING), texts, np.zeros(30, np.bool_))
    reference = Reference.laid_out([merchant])
    counts = np.zeros(reference.size, dtype=np.int64)
    block = Block(2, np.array([-1, 0], "<i8").tobytes())  # a code means nothing where no categories are listed
    count_blocks([block], reference, range(1), counts)
    assert reference.bins(counts, 0)[Special.UNSEEN] == 2


def test_faults_of_rejected_rows_are_bins_of_the_column_at_fault() -> None:
    problems = [
        Problem(SkewKind.ABSENT, "f0", 3),
        Problem(SkewKind.WRONG_TYPE, "f1", 1),
        Problem(SkewKind.NAN, "f1", 1),
        Problem(SkewKind.NULL, "city", 2),
        Problem(SkewKind.UNKNOWN, "", 3),
        Problem(SkewKind.SHAPE, "", 1),
    ]
    counts = tally_requests([refused(START_US, problems=problems, rows=2)], REFERENCE).columns
    assert counts is not None
    assert REFERENCE.bins(counts, 0)[Special.ABSENT] == 3
    assert REFERENCE.bins(counts, 1)[[Special.WRONG_TYPE, Special.NAN]].tolist() == [1, 1]
    assert REFERENCE.bins(counts, CITY)[Special.NULL] == 2
    extras = {word: REFERENCE.extra(counts, word) for word in Extra}
    assert extras == {Extra.ROWS_ANSWERED: 0, Extra.ROWS_REJECTED: 3, Extra.UNKNOWN: 3, Extra.SHAPE: 1}


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3), min_size=1, max_size=5))
def test_narrow_cells_count_as_the_wide_ones_beside_them(values: list[list[float]]) -> None:
    asked = request(START_US, Rows(np.array(values), np.zeros(len(values), np.int64), np.zeros(len(values))))
    numbers = Reference.laid_out(REFERENCE.columns[:CITY])
    blocks = [Block(len(values), np.array(values, dtype).tobytes()) for dtype in ("<f4", "<f8")]
    narrow, known, both = (
        tally_requests([replace(asked, features=block, outputs=None) for block in some], numbers)
        for some in (blocks[:1], blocks[1:], blocks)
    )
    assert narrow.malformed == known.malformed == both.malformed == 0
    assert narrow.columns is not None and known.columns is not None and both.columns is not None
    assert narrow.columns.tolist() == known.columns.tolist()
    assert both.columns.tolist() == (2 * known.columns).tolist()


@pytest.mark.parametrize("cells", [b"", bytes(8), bytes(4 * 4), bytes(8 * 4 + 1)])
def test_a_block_that_contradicts_its_schema_is_counted_and_not_read(cells: bytes) -> None:
    broken = Request(
        **{f: getattr(request(START_US, made_rows([([0.0] * 3, 0, 0.5)])), f) for f in Request.__struct_fields__}
        | {"features": Block(1, cells)}
    )
    sound = request(START_US, made_rows([([0.0] * 3, 0, 0.5)]))
    tally = tally_requests([broken, sound], REFERENCE)
    assert tally.malformed == 1
    assert tally.columns is not None
    assert REFERENCE.extra(tally.columns, Extra.ROWS_ANSWERED) == 1


def test_traffic_counts_requests_and_rows_by_outcome_and_the_latency_of_answered_ones() -> None:
    requests = [request(START_US, made_rows([([0.0] * 3, 0, 0.5)] * 2)), refused(START_US, Outcome.SHED, rows=7)]
    traffic = tally_requests(requests, None).traffic
    assert dict(zip(OUTCOMES, traffic[: Traffic.ROWS].tolist(), strict=True)) == {
        Outcome.ANSWERED: 1,
        Outcome.REJECTED: 0,
        Outcome.SHED: 1,
        Outcome.FAILED: 0,
    }
    assert dict(zip(OUTCOMES, traffic[Traffic.ROWS : Traffic.LATENCY].tolist(), strict=True))[Outcome.SHED] == 7
    assert traffic[Traffic.LATENCY :].sum() == 1


def test_a_shadow_counts_what_it_said_and_not_what_it_was_asked() -> None:
    shadow = Shadow(START_US, "r", 0, Outcome.ANSWERED, "", 2, 90, Block(2, np.array([0.1, 0.9]).tobytes()))
    counts = tally_shadows([shadow], REFERENCE).columns
    assert counts is not None
    assert REFERENCE.bins(counts, len(REFERENCE.columns) - 1).sum() == 2
    assert REFERENCE.bins(counts, 0).sum() == 0
