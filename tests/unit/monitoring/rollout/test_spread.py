import numpy as np
import pytest

from monitoring.rollout.spread import FIRST_MINUTES, FIRST_SIZE, Spread


def learnt(group: int, *, minutes: int = 400, shock: float = 0.0, seed: int = 7) -> float:
    """What is found where requests fail in groups of this size, each in one half whole."""
    rng, spread = np.random.default_rng(seed), Spread.start(1)
    for _ in range(minutes):
        rate = 0.02 * np.exp(shock * rng.normal())
        halves = [group * rng.binomial(300 // group, rate) for _ in range(2)]
        counts = (float(halves[1]), 300.0, float(sum(halves)), 600.0)
        spread = spread.after(*(np.array([part]) for part in counts))
    return float(spread.together[0])


def test_requests_that_are_alone_count_one_by_one() -> None:
    assert learnt(1) == pytest.approx(1, abs=0.15)


def test_what_moves_both_halves_makes_no_group() -> None:
    assert learnt(1, shock=1.0) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("group", [3, 10])
def test_groups_are_found_by_their_size(group: int) -> None:
    assert learnt(group) == pytest.approx(group, rel=0.25)


def test_one_odd_minute_decides_little() -> None:
    spread = Spread.start(1).after(np.array([10.0]), np.array([300.0]), np.array([10.0]), np.array([600.0]))
    assert FIRST_SIZE < spread.together[0] <= (10 + FIRST_SIZE * FIRST_MINUTES) / (1 + FIRST_MINUTES) + 0.1


@pytest.mark.parametrize(
    "counts", [(0, 0, 0, 0), (0, 0, 0, 600), (0, 300, 0, 600), (300, 300, 600, 600), (1, 1, 1, 1), (0, 0, 5, 9)]
)
def test_minutes_that_can_tell_nothing_change_nothing(counts: tuple[float, float, float, float]) -> None:
    spread = Spread.start(1).after(*(np.array([float(part)]) for part in counts))
    assert spread.together[0] == FIRST_SIZE
    assert not spread.minutes.any()
