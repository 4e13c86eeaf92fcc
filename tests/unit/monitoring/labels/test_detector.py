import numpy as np
import pytest

from models.grades import Loss, bin_numbers, losses
from models.task import TaskKind
from monitoring.labels.detector import DAY_MINUTES, Bets, Detector, Limits
from monitoring.labels.promise import Promise
from tests.unit.monitoring.labels.made import draw, performance

LIMITS = Limits(loss=0.03, estimate=0.03, alpha=0.1)
PROMISE = Promise.of(performance(100_000))
BETS = Bets.of(PROMISE, LIMITS)
ROWS = 200
NEVER = Limits(loss=0.03, estimate=0.03, alpha=1e-300)


def hours(
    detector: Detector, rng: np.random.Generator, first: int, n: int, *, moved: float = 0.0, centre: float = -2.0
) -> None:
    for hour in range(first, first + n):
        scores, hits = draw(ROWS, rng, centre=centre, moved=moved)
        loss = losses(TaskKind.BINARY, scores, hits, 1.0)[Loss.MAIN]
        who = np.arange(ROWS).astype(np.uint64)
        detector.take(hour * 60, loss, bin_numbers(TaskKind.BINARY, (), scores), who, BETS, LIMITS)
        detector.close_week((hour + 1) * 60, LIMITS)


def test_labels_as_the_reference_promised_raise_nothing() -> None:
    detector = Detector()
    hours(detector, np.random.default_rng(1), 0, 24 * 30)
    assert not detector.loss_standing
    assert not detector.estimate_standing
    assert detector.days == 30


def standing(detector: Detector) -> tuple[bool, bool]:
    return detector.loss_standing, detector.estimate_standing


def test_a_loss_that_rises_is_found_by_both_and_a_clear_begins_anew() -> None:
    detector, rng = Detector(), np.random.default_rng(2)
    hours(detector, rng, 0, 24 * 7)
    hours(detector, rng, 24 * 7, 24 * 7, moved=0.8)
    assert standing(detector) == (True, True)
    hours(detector, rng, 24 * 14, 24 * 70)
    assert standing(detector) == (False, False)
    assert detector.evidence[1] < LIMITS.threshold - 2


def test_harder_cases_raise_the_loss_and_break_no_promise() -> None:
    detector = Detector()
    hours(detector, np.random.default_rng(3), 0, 24 * 7, centre=-1.0)
    assert detector.loss_standing
    assert not detector.estimate_standing


def test_losses_lower_than_promised_are_a_broken_promise_too() -> None:
    detector = Detector()
    hours(detector, np.random.default_rng(4), 0, 24 * 7, moved=-2.0)  # as where every label is "no"
    assert detector.estimate_standing
    assert not detector.loss_standing


def test_the_loss_is_looked_at_when_a_week_is_over_and_not_before() -> None:
    detector, rng = Detector(), np.random.default_rng(5)
    hours(detector, rng, 0, 24 * 7 - 1, moved=2.0)
    assert standing(detector)[0] is False
    hours(detector, rng, 24 * 7 - 1, 1, moved=2.0)
    assert standing(detector)[0] is True


def test_rows_of_one_request_are_one_witness() -> None:
    scores, hits = draw(1, np.random.default_rng(6), centre=-3.0)
    hits[:] = 1.0
    loss = losses(TaskKind.BINARY, scores, hits, 1.0)[Loss.MAIN]
    one, many = Detector(), Detector()
    for detector, times in ((one, 1), (many, 500)):
        bins = np.repeat(bin_numbers(TaskKind.BINARY, (), scores), times)
        detector.take(0, np.repeat(loss, times), bins, np.zeros(times, np.uint64), BETS, LIMITS)
    assert many.upper == pytest.approx(one.upper)
    assert not many.estimate_standing


def test_while_nothing_is_wrong_what_is_held_grows_by_a_day_at_most_in_the_mean() -> None:
    """The law that the rate of false alarms stands on, at the border of the null: mean of M ≤ days."""
    rng, found = np.random.default_rng(7), []
    for _ in range(2000):
        detector = Detector()
        for day in range(3):
            scores, _ = draw(50, rng)
            bins = bin_numbers(TaskKind.BINARY, (), scores)
            # Losses with the mean of the bound itself, of two values.
            loss = np.where(rng.uniform(size=50) < 0.2, 5 * BETS.upper[bins], 0.0)
            detector.take(day * DAY_MINUTES, loss, bins, np.arange(50).astype(np.uint64), BETS, NEVER)
        found.append(np.exp(detector.upper).sum())
    assert np.mean(found) < 3 * 0.8 + 3 * np.std(found) / np.sqrt(len(found))
