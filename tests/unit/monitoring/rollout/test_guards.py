import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.baseline import SPECIALS, ColumnBaseline, Special
from models.contract import Kind
from monitoring.rollout.document import DEFAULT_GUARDS, Guards, LabelGuard, LatencyGuard, ShareGuard
from monitoring.rollout.evidence import Cuts, Part
from monitoring.rollout.guards import KEPT_A_MINUTE, TAIL_PARTS, Watch, look, remember
from monitoring.sketch import sketch
from tests.unit.monitoring.rollout.made import CUTS, arm, minute

ALL = Guards(
    errors=ShareGuard(0.01),
    rejections=ShareGuard(0.02),
    latency=(LatencyGuard(0.5, 2.0),),
    labels=LabelGuard(0.03),
    predictions=ShareGuard(0.1),
)


def test_every_comparison_has_a_guard_a_margin_and_a_name() -> None:
    watch = Watch.of(ALL, CUTS)
    assert watch.names == ("errors", "rejections", "latency p50", "labels", "predictions")
    assert watch.margin[:6].tolist() == [0.01, 0.02, 0.0, 0.0, 0.0, 0.03]
    assert watch.what[:7] == (
        "errors",
        "rejections",
        "slower than stable's p50",
        "slower than stable's p75",
        "slower than stable's p87.5",
        "labels",
        "score below training's range",
    )
    assert len(watch.what) == watch.comparisons == len(watch.margin)
    assert watch.owner[:6].tolist() == [0, 1, 2, 2, 2, 3]
    assert (watch.owner[6:] == 4).all()


def test_a_tail_is_compared_where_it_begins_and_further_out() -> None:
    """Of stable's requests the slowest 2 % take 10 ms, of the canary's 15 ms: as many, and only further out more."""
    watch = Watch.of(Guards(latency=(LatencyGuard(0.98, 1.25),)), CUTS)
    past = arm(9_800, took_us=1_000).astype(float) + arm(195, took_us=10_000) + arm(5, took_us=11_000)
    stable = arm(980, took_us=1_000) + arm(20, took_us=10_000)
    canary = arm(980, took_us=1_000) + arm(20, took_us=15_000)
    seen, guess, *_ = look(watch, past, minute(7, canary, stable))
    assert watch.what == ("slower than stable's p98", "slower than stable's p99", "slower than stable's p99.5")
    assert seen.canary_k.tolist() == [20, 20, 20]
    assert seen.stable_k.tolist() == [20, 0, 0]
    assert guess[0] > 10 * guess[2]


def test_the_minute_is_counted_by_guard() -> None:
    watch, past = Watch.of(ALL, CUTS), arm(1000, failed=10, labelled=100, wrong=10).astype(float)
    seen_minute = minute(
        7, arm(100, failed=3, rejected=2, labelled=10, wrong=4, took_us=9000), arm(900, failed=9, rejected=1)
    )
    seen, guess, *_ = look(watch, past, seen_minute)
    assert list(zip(seen.canary_k[:6], seen.canary_n[:6], strict=True)) == [
        (3, 100),
        (2, 100),
        *[(95, 95)] * 3,
        (4, 10),
    ]
    assert list(zip(seen.stable_k[:6], seen.stable_n[:6], strict=True)) == [
        (9, 900),
        (1, 900),
        *[(0, 890)] * 3,
        (0, 0),
    ]
    assert guess[0] == pytest.approx(10.5 / 1001)
    assert guess[5] == pytest.approx(10.5 / 101)


def test_nothing_is_compared_before_anything_is_known_of_stable() -> None:
    watch = Watch.of(ALL, CUTS)
    seen, *_ = look(watch, np.zeros(Part.OUTPUTS + CUTS.bins), minute(7, arm(100, failed=50), arm(900)))
    assert not seen.canary_n.any()
    assert not seen.stable_n.any()


@pytest.mark.parametrize(("took_us", "slow"), [(520, 0), (610, 0), (720, 50)])
def test_a_canary_may_be_slower_by_the_slack_whatever_the_ratio_says(took_us: int, slow: int) -> None:
    """Stable takes 0.4 ms; 1.25 times that is no time that a user sees."""
    watch, fast = Watch.of(Guards(latency=(LatencyGuard(0.5, 1.25),)), CUTS), arm(50, took_us=400)
    seen, *_ = look(watch, arm(1000, took_us=400).astype(float), minute(7, arm(50, took_us=took_us), fast))
    assert (seen.canary_k[0], seen.canary_n[0]) == (slow, 50)


@pytest.mark.parametrize(("took_us", "slow"), [(12_300, 0), (13_200, 50)])
def test_beyond_the_slack_the_ratio_decides(took_us: int, slow: int) -> None:
    watch = Watch.of(Guards(latency=(LatencyGuard(0.5, 1.25),)), CUTS)
    seen, *_ = look(
        watch, arm(1000, took_us=10_000).astype(float), minute(7, arm(50, took_us=took_us), arm(50, took_us=10_000))
    )
    assert seen.canary_k[0] == slow


@given(
    times_us=st.lists(st.integers(10, 10_000_000), min_size=1, max_size=50),
    before_us=st.lists(st.integers(10, 10_000_000), min_size=1, max_size=50),
    quantile=st.sampled_from([0.5, 0.9, 0.99]),
    ratio=st.sampled_from([1.0, 1.25, 1.5, 3.0]),
)
def test_a_canary_that_takes_just_the_ratio_is_never_counted_more_often_than_stable(
    times_us: list[int], before_us: list[int], quantile: float, ratio: float
) -> None:
    watch = Watch.of(Guards(latency=(LatencyGuard(quantile, ratio),)), CUTS)
    past, stable, canary = (np.zeros(Part.OUTPUTS + CUTS.bins, dtype=np.int64) for _ in range(3))
    past[Part.LATENCY : Part.OUTPUTS] = sketch(np.array(before_us))
    stable[Part.LATENCY : Part.OUTPUTS] = sketch(np.array(times_us))
    canary[Part.LATENCY : Part.OUTPUTS] = sketch((np.array(times_us) * ratio).astype(np.int64))
    seen, *_ = look(watch, past.astype(float), minute(7, canary, stable))
    assert seen.canary_k[0] <= seen.stable_k[0]


def test_the_past_forgets_by_half_in_a_quarter_of_an_hour() -> None:
    past = arm(1000).astype(float)
    for number in range(15):
        past = remember(past, minute(number, arm(10), arm(0)))
    assert past[Part.REQUESTS] == pytest.approx(500)
    assert pytest.approx(0.5) == KEPT_A_MINUTE**15


def test_cuts_of_a_number_are_cumulative_and_those_of_a_text_are_its_categories() -> None:
    number = ColumnBaseline(name="n", kind=Kind.FLOAT, counts=(0,) * (SPECIALS + 2), edges=(1.5,), low=0.0, high=2.0)
    text = ColumnBaseline(name="t", kind=Kind.STRING, counts=(0,) * (SPECIALS + 2), categories=("a", "b"))
    cuts = Cuts.of([number, text])
    assert cuts.names == (
        "n below training's range",
        "n < 1.5",
        "n above training's range",
        "n is NaN",
        "t = unseen",
        "t = a",
        "t = b",
    )
    counts = np.zeros(cuts.bins)
    counts[[Special.NEG_INF, Special.BELOW, Special.ABOVE, Special.NAN, SPECIALS, SPECIALS + 1]] = (1, 2, 4, 8, 16, 32)
    counts[number.bins + SPECIALS + 1] = 64
    assert (cuts.inside @ counts).tolist() == [3, 19, 4, 8, 0, 0, 64]
    assert (cuts.among @ counts).tolist() == [63, 63, 63, 63, 64, 64, 64]


def test_without_outputs_the_guard_of_predictions_has_nothing_to_compare() -> None:
    watch = Watch.of(DEFAULT_GUARDS, Cuts.of([]))
    seen, *_ = look(watch, np.ones(Part.OUTPUTS), minute(7, arm(10)[: Part.OUTPUTS], arm(10)[: Part.OUTPUTS]))
    assert len(seen.canary_k) == watch.comparisons == 2 + 2 * len(TAIL_PARTS)
