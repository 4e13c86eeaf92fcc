"""A canary as good as stable is not rolled back, a bad one is: the short form of `python -m tests.promises.rollouts`."""

import pytest

from tests.promises.rollouts import BAD, GOOD, REPORTED_SEED, Scene, by_evidence, by_thresholds, interval

pytestmark = pytest.mark.simulation

SCENES = {scene.name: scene for scene in (*GOOD, *BAD)}
SHORT = 25


def ends_of(name: str, times: int = SHORT) -> list[bool]:
    scene = SCENES[name]
    return [by_evidence(scene, REPORTED_SEED + number).rolled_back for number in range(times)]


@pytest.mark.parametrize("name", ["day pattern", "day pattern, shocks that last", "groups of 8 fail together"])
def test_good_canaries_go_through(name: str) -> None:
    """More than one of 25 comes once in 38 times where the chance is 1 %; the long run has the interval."""
    assert sum(ends_of(name)) <= 1


@pytest.mark.parametrize(
    "name",
    ["errors + 2 %", "errors + 2 % after 45 minutes", "errors + 20 %", "p99 × 1.5, p50 as it was", "scores + 0.5 σ"],
)
def test_bad_canaries_are_rolled_back(name: str) -> None:
    assert sum(ends_of(name, 10)) >= 8


def test_the_same_seed_ends_the_same_way() -> None:
    scene = SCENES["errors + 2 %"]
    assert by_evidence(scene, 5) == by_evidence(scene, 5)


def test_a_fixed_threshold_rolls_good_canaries_back_where_they_have_few_requests() -> None:
    scene, check = Scene("day pattern"), by_thresholds(1)
    assert sum(check(scene, REPORTED_SEED + number).rolled_back for number in range(SHORT)) > SHORT // 2


@pytest.mark.parametrize(
    ("k", "n", "low", "high"), [(0, 1000, 0, 0.0037), (3, 100, 0.0062, 0.0852), (100, 100, 0.9638, 1)]
)
def test_the_interval_is_clopper_and_pearsons(k: int, n: int, low: float, high: float) -> None:
    assert interval(k, n) == pytest.approx((low, high), abs=1e-4)
