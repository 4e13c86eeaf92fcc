"""A look is a matter of its window alone: of what is looked at beside it, and of whether the look of before was taken."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replace_struct

from models.weekly import HOURS as WEEK_HOURS
from monitoring.drift import Comparison
from monitoring.judge import Judgement, Look, Window, judge, look
from monitoring.reference import Reference
from monitoring.rules import Rules
from tests.unit.monitoring.test_screen import RULES, reference, windows

HOUR_ROWS = 400  # divided by rows of windows that are multiples of 50, shares end at halves: ties of rounding
SEEDS = st.integers(0, 2**32 - 1)
STRENGTHS = st.sampled_from([0.0, 0.03, 0.1, 0.2, 0.5])


def equal(one: Look, other: Look) -> bool:
    """Bit for bit."""
    names = Comparison.__dataclass_fields__
    found = all(np.array_equal(getattr(one.drift.found, n), getattr(other.drift.found, n)) for n in names)
    return found and (one.skew, one.findings()) == (other.skew, other.findings())


@given(SEEDS, STRENGTHS)
def test_a_window_is_looked_at_alone_as_it_is_among_others(seed: int, strength: float) -> None:
    rng = np.random.default_rng(seed)
    base = reference(rng)
    made = windows(base, rng, strength)
    for window, together in zip(made, look(base, made, RULES, model="m", versions=1), strict=True):
        (alone,) = look(base, [window], RULES, model="m", versions=1)
        assert equal(alone, together)


@given(SEEDS, st.lists(st.tuples(st.booleans(), STRENGTHS), min_size=1, max_size=8))
def test_a_judgement_that_knows_the_one_before_is_the_one_that_does_not(
    seed: int, minutes: list[tuple[bool, float]]
) -> None:
    """Windows that are due have new counts; those that are not have the counts that they had."""
    rng = np.random.default_rng(seed)
    base = reference(rng)
    held = windows(base, rng, 0.5)
    known: Judgement | None = None
    for due, strength in minutes:
        changed = windows(base, rng, strength)
        held = [
            replace(changed[0], due=due) if due else replace(held[0], due=False),
            replace(held[1], due=known is None),
        ]
        latched = frozenset() if known is None else known.latched
        before = None if known is None else known.looks
        knows, plain = (
            judge(base, held, RULES, model="m", versions=1, latched=latched, before=given) for given in (before, None)
        )
        assert (knows.standing, knows.latched, knows.breaching) == (plain.standing, plain.latched, plain.breaching)
        assert knows.looks.keys() == plain.looks.keys()
        assert all(equal(one, plain.looks[place]) for place, one in knows.looks.items())
        known = knows


def hourly(base: Reference, rng: np.random.Generator) -> Reference:
    """The same columns, each with its training rows by hour of the week."""
    columns = [
        replace_struct(
            column,
            by_hour=tuple(
                map(
                    tuple,
                    rng.multinomial(
                        HOUR_ROWS, base.bins(base.baseline, j) / base.bins(base.baseline, j).sum(), WEEK_HOURS
                    ).tolist(),
                )
            ),
        )
        for j, column in enumerate(base.columns)
    ]
    return Reference.laid_out(columns[: base.features], columns[base.features :])


@given(SEEDS, st.integers(2, 8))
def test_so_is_one_that_is_held_against_its_hours_of_the_week(seed: int, several: int) -> None:
    rng = np.random.default_rng(seed)
    plain = reference(rng)
    base, made = hourly(plain, rng), []
    for window in [one for _ in range(several) for one in windows(plain, rng, 0.1)]:
        rows = int(window.counts[int(plain.starts[-1])])
        spread = 50 * rng.multinomial(rows // 50, np.full(WEEK_HOURS, 1 / WEEK_HOURS))
        made.append(replace(window, counts=np.concatenate([window.counts, spread])))
    counts = np.array([window.counts for window in made])
    for window, together in zip(made, base.expected(counts), strict=True):
        assert np.array_equal(base.expected(window.counts[None, :])[0], together)
    for window, among in zip(made, look(base, made, RULES, model="m", versions=1), strict=True):
        (alone,) = look(base, [window], RULES, model="m", versions=1)
        assert equal(alone, among)


def breached() -> tuple[Reference, Window, Judgement]:
    rng = np.random.default_rng(1)
    base = reference(rng)
    window = next(
        made for _ in range(100) for made in windows(base, rng, 0.5) if made.counts[int(base.starts[-1])] == 2000
    )
    return base, window, judge(base, [window], RULES, model="m", versions=1, latched=frozenset())


def test_between_two_slices_the_look_of_before_is_taken() -> None:
    base, window, first = breached()
    place = ("", window.scale.window_s)
    copy = replace(window, counts=window.counts.copy(), due=False)
    second = judge(base, [copy], RULES, model="m", versions=1, latched=first.latched, before=first.looks)
    assert first.latched and second.looks[place].drift is first.looks[place].drift
    assert second.looks[place].window is copy
    due = judge(base, [window], RULES, model="m", versions=1, latched=first.latched, before=first.looks)
    assert due.looks[place].drift is not first.looks[place].drift


@pytest.mark.parametrize("other", ["counts", "reach", "reference", "rules", "versions"])
def test_what_is_held_against_something_else_is_looked_at_anew(other: str) -> None:
    base, window, first = breached()
    (one,) = first.looks.values()
    counts = window.counts + (np.arange(window.counts.size) == 0)
    asked = {
        "counts": (base, replace(window, counts=counts), RULES, 1),
        "reach": (base, replace(window, covered_s=window.covered_s + 60), RULES, 1),
        "reference": (replace(base), window, RULES, 1),
        "rules": (base, window, Rules(drift_windows_s=(3600, 7200)), 1),
        "versions": (base, window, RULES, 2),
    }
    assert one.again(base, window, RULES, 1) is not None
    assert one.again(*asked[other]) is None
