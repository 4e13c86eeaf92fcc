"""Which segments a version has: bounded, in order, and every refusal with its reason."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.baseline import SPECIALS, ColumnBaseline, column_of_numbers
from models.contract import Column, Kind
from models.free_text import column_of_texts
from monitoring.segments.plan import InBins, plan

CHANNEL = ColumnBaseline(
    name="channel",
    kind=Kind.STRING,
    categories=("app", "branch", "phone", "web"),
    counts=(*[0] * SPECIALS, 50, 5, 5, 40),
)
RETURNING = column_of_numbers(Column(name="returning", kind=Kind.BOOL), np.array([0.0, 1.0, 1.0]), np.zeros(3, bool))
AMOUNT = column_of_numbers(Column(name="amount", kind=Kind.FLOAT), np.arange(100.0), np.zeros(100, bool))
MERCHANT, _ = column_of_texts(
    Column(name="merchant", kind=Kind.STRING),
    np.array(["chain"] * 30 + [f"shop {i}" for i in range(30)], dtype=np.object_),
    np.zeros(60, bool),
)
FEATURES = [CHANNEL, RETURNING, AMOUNT, MERCHANT]


def names(declared: list[str], segments_max: int = 16) -> list[str]:
    return [segment.name for segment in plan(declared, FEATURES, segments_max).segments]


def test_a_feature_gives_its_categories_the_most_frequent_first() -> None:
    assert names(["channel"]) == ["channel=app", "channel=web", "channel=branch", "channel=phone"]
    assert names(["returning"]) == ["returning=true", "returning=false"]


def test_what_does_not_fit_is_one_segment_of_the_rest() -> None:
    found = plan(["channel"], FEATURES, 3)
    assert [segment.name for segment in found.segments] == ["channel=app", "channel=web", "channel=other"]
    kept = {at for segment in found.segments if isinstance(segment.rows, InBins) for at in segment.rows.bins}
    assert kept == set(range(CHANNEL.bins))  # nulls and unseen texts are others
    assert names(["merchant"]) == ["merchant=chain", "merchant=other"]


def test_a_category_called_other_is_a_segment_beside_the_rest() -> None:
    channel = ColumnBaseline(
        name="channel",
        kind=Kind.STRING,
        categories=("app", "kiosk", "other", "phone", "web"),
        counts=(*[0] * SPECIALS, 500, 300, 150, 40, 10),
    )
    found = plan(["channel"], [channel], 4).segments
    assert [one.name for one in found] == ["channel=app", "channel=kiosk", "channel=other", "channel=(other)"]
    rows = [one.rows for one in found if isinstance(one.rows, InBins)]
    assert sorted(at for one in rows for at in one.bins) == list(range(channel.bins))


def test_categories_whose_segments_would_have_one_name_are_refused() -> None:
    long = "x" * 200
    channel = ColumnBaseline(
        name="channel", kind=Kind.STRING, categories=(long + "a", long + "b"), counts=(*[0] * SPECIALS, 5, 5)
    )
    found = plan(["channel"], [channel], 16)
    assert not found.segments
    assert "twice" in found.refused[0].reason


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ("amount", "without categories"),
        ("amount > ", "invalid syntax"),
        ("chanel", "no feature"),
    ],
)
def test_a_declaration_that_means_no_rows_is_refused_and_the_others_stay(declared: str, reason: str) -> None:
    found = plan([declared, "amount > 5"], FEATURES, 16)
    assert [segment.name for segment in found.segments] == ["amount > 5"]
    (refused,) = found.refused
    assert refused.declared == declared
    assert reason in refused.reason


def test_beyond_the_limit_and_twice_is_refused() -> None:
    found = plan(["amount > 1", "amount  >  1", "amount > 2", "returning", "amount > 3"], FEATURES, 2)
    assert [segment.name for segment in found.segments] == ["amount > 1", "amount > 2"]
    assert [refused.declared for refused in found.refused] == ["amount  >  1", "returning", "amount > 3"]
    assert plan(["channel"], FEATURES, 0).segments == ()
    assert plan(["channel"], FEATURES, 1).segments == ()


@given(
    st.lists(st.sampled_from(["channel", "returning", "amount", "merchant", "amount > 1", "age", ""])),
    st.integers(0, 8),
)
def test_a_plan_is_bounded_and_the_segments_of_a_feature_are_disjoint(declared: list[str], segments_max: int) -> None:
    found = plan(declared, FEATURES, segments_max)
    assert len(found.segments) <= segments_max
    assert len(found.names) == len(found.segments)
    bins = [(s.rows.feature, at) for s in found.segments if isinstance(s.rows, InBins) for at in s.rows.bins]
    assert len(bins) == len(set(bins))
