import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.explain.ladder import LENGTHS, Ladder, Slice, place
from monitoring.explain.sample import ANY, Rows, draw, join, lowest
from service.featurelog.record import Request
from tests.unit.monitoring.made import START_US, model, refused, request, rows

MADE = model()
REFERENCE = MADE.reference
WIDTH = len(REFERENCE.columns)


def requests(n: int, seed: int, rows_each: int = 1, step_us: int = 1000) -> list[Request]:
    rng = np.random.default_rng(seed)
    return [request(START_US + i // 3 * step_us, rows(rows_each, rng), request_id=f"r{seed}-{i}") for i in range(n)]


def said(sample: Rows) -> list[tuple[str, int, bytes]]:
    return [
        (str(i), int(n), cells.tobytes()) for i, n, cells in zip(sample.ids, sample.numbers, sample.cells, strict=True)
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 4), st.integers(1, 30), st.randoms())
def test_a_sample_does_not_depend_on_order_or_on_how_the_records_were_cut(
    seed: int, n: int, rows_each: int, k: int, random: "object"
) -> None:
    whole = requests(n, seed, rows_each, step_us=0)  # all at one time: ids decide
    expected = draw(whole, REFERENCE, below=ANY, k=k)
    shuffled = list(whole)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    held, cut = Rows.none(WIDTH), seed % (n + 1)
    for part in (shuffled[:cut], shuffled[cut:]):
        below = ANY if held.n < k else int(held.hashes[-1])
        held = lowest(join([held, draw(part, REFERENCE, below=below, k=k)], WIDTH), k)
    assert said(held) == said(expected)
    assert expected.n == min(k, n * rows_each)


def test_every_row_has_the_same_chance_whatever_its_request() -> None:
    large, small = requests(10, 1, rows_each=100), requests(1000, 2)
    sample = draw([*large, *small], REFERENCE, below=ANY, k=1000)
    share = sum(str(i).startswith("r1-") for i in sample.ids) / sample.n
    assert abs(share - 0.5) < 0.08  # five standard errors


def test_cells_and_nulls_are_those_of_the_log_and_requests_without_values_are_left_out() -> None:
    answered = requests(3, 5, rows_each=2)
    sample = draw([*answered, refused(START_US)], REFERENCE, below=ANY, k=100)
    assert sample.n == 6
    by_id = {(str(i), int(n)): cells for i, n, cells in zip(sample.ids, sample.numbers, sample.cells, strict=True)}
    for record in answered:
        assert record.features is not None and record.outputs is not None
        features = np.frombuffer(record.features.cells, "<i8").reshape(2, -1)
        for row in range(2):
            assert by_id[record.request_id, row][: REFERENCE.features].tolist() == features[row].tolist()


def test_a_block_that_contradicts_its_schema_is_not_sampled() -> None:
    good, bad = requests(2, 7)
    assert bad.features is not None
    broken = type(bad)(
        *[type(bad.features)(1, b"123") if name == "features" else getattr(bad, name) for name in bad.__struct_fields__]
    )
    assert draw([good, broken], REFERENCE, below=ANY, k=10).ids.tolist() == [good.request_id]


@settings(max_examples=60, deadline=None)
@given(st.integers(10_000, 1_000_000), st.integers(0, 9000), st.lists(st.integers(0, 400), max_size=8))
def test_moving_in_steps_is_moving_at_once_and_every_minute_is_in_the_slice_of_its_age(
    start: int, back: int, steps: list[int]
) -> None:
    record = requests(1, 3)
    rows_ = draw(record, REFERENCE, below=ANY, k=5)
    slow, fast, closed = Ladder(WIDTH, 5), Ladder(WIDTH, 5), start
    for ladder in (slow, fast):
        ladder.add(start - back, rows_, start)
    for step in steps:
        closed += step
        slow.advance(closed)
    fast.advance(closed)
    assert slow.slices.keys() == fast.slices.keys()
    at = place(start - back, closed)
    if at is not None and fast.slices:
        assert set(fast.slices) == {at}
        assert at.first <= start - back <= at.last


def test_every_age_has_slices_of_at_most_a_quarter_of_it() -> None:
    closed = 987_654
    for age in range(1, 5000):
        at = place(closed - age, closed)
        assert at is not None
        assert at.minutes in LENGTHS
        assert at.minutes <= max(1, age)
        assert at.minutes == 1 or at.minutes <= age


def test_rows_are_read_back_from_whole_slices_only() -> None:
    ladder = Ladder(WIDTH, 50)
    closed = 64 * 4000
    for minute in range(closed - 300, closed):
        ladder.add(minute, draw(requests(2, minute), REFERENCE, below=ANY, k=50), closed)
    assert ladder.between(closed - 4, closed).n == 8
    whole = [at for at in ladder.slices if at.first >= closed - 100]
    assert ladder.between(closed - 100, closed).n == sum(ladder.slices[at].n for at in whole)
    assert all(isinstance(at, Slice) for at in whole)
