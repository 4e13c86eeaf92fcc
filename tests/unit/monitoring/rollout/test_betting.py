from math import comb, exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.rollout.betting import KEPT, LEVEL_MIN, ODDS, STRATEGIES, Seen, Wealth, log_gains

SHARES = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(1e-4, 1 - 1e-4))
MARGINS = st.sampled_from([0.0, 0.005, 0.1, 0.5])
SIZES = st.integers(1, 12)

ONE = np.ones(1)


def seen(canary_k: float, canary_n: float, stable_k: float, stable_n: float) -> Seen:
    return Seen(*(np.array([float(part)]) for part in (canary_k, canary_n, stable_k, stable_n)))


def grid(n_c: int, n_s: int) -> tuple[Seen, np.ndarray, np.ndarray]:
    """Every outcome of a minute of n_c and n_s requests."""
    k_c, k_s = (part.ravel().astype(float) for part in np.meshgrid(np.arange(n_c + 1), np.arange(n_s + 1)))
    return Seen(k_c, np.full_like(k_c, n_c), k_s, np.full_like(k_s, n_s)), k_c, k_s


def pmf(k: np.ndarray, n: int, chance: float) -> np.ndarray:
    return np.array([comb(n, int(times)) * chance**times * (1 - chance) ** (n - times) for times in k])


@given(n_c=SIZES, n_s=SIZES, chance=SHARES, worse=SHARES, guess=SHARES, margin=MARGINS)
def test_no_bet_gains_in_the_mean_where_the_canary_is_within_the_margin(
    n_c: int, n_s: int, chance: float, worse: float, guess: float, margin: float
) -> None:
    canary = min(1.0, worse * (chance + margin))
    outcomes, k_c, k_s = grid(n_c, n_s)
    bets = np.exp(log_gains(outcomes, np.full(k_c.size, guess), np.full(k_c.size, margin)))
    weights = pmf(k_c, n_c, canary) * pmf(k_s, n_s, chance)
    assert (weights @ bets <= 1 + 1e-9).all()


@given(n_c=SIZES, n_s=SIZES, chance=SHARES, guess=SHARES, together=st.integers(1, 5))
def test_groups_that_share_an_outcome_gain_nothing_when_the_document_knows_their_size(
    n_c: int, n_s: int, chance: float, guess: float, together: int
) -> None:
    outcomes, k_c, k_s = grid(n_c, n_s)
    whole = Seen(
        *(together * part for part in (outcomes.canary_k, outcomes.canary_n, outcomes.stable_k, outcomes.stable_n))
    )
    bets = np.exp(log_gains(whole, np.full(k_c.size, guess), np.zeros(k_c.size)) / together)
    weights = pmf(k_c, n_c, chance) * pmf(k_s, n_s, chance)
    assert (weights @ bets <= 1 + 1e-9).all()


@given(counts=st.lists(st.tuples(SIZES, SIZES, SHARES, SHARES), min_size=1, max_size=20), guess=SHARES)
def test_wealth_is_what_the_strategies_won_and_spreading_it_anew_makes_none(
    counts: list[tuple[int, int, float, float]], guess: float
) -> None:
    wealth = Wealth.start(1)
    assert wealth.logs.shape == (1, STRATEGIES)
    assert wealth.log_totals[0] == pytest.approx(0, abs=1e-12)
    for n_c, n_s, share_c, share_s in counts:
        outcome, margin = seen(round(share_c * n_c), n_c, round(share_s * n_s), n_s), np.zeros(1)
        gains = np.concatenate([[0.0], log_gains(outcome, np.array([guess]), margin)[0]])
        expected = np.logaddexp.reduce(wealth.logs[0] + gains)
        wealth = wealth.after(outcome, np.array([guess]), margin, ONE)
        assert wealth.log_totals[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("canary_n", "stable_n"), [(0, 50), (50, 0), (0, 0)])
def test_a_minute_without_one_of_the_arms_says_nothing(canary_n: int, stable_n: int) -> None:
    before = Wealth.start(1).after(seen(3, 50, 1, 500), np.array([0.01]), np.zeros(1), ONE)
    after = before.after(seen(0, canary_n, 0, stable_n), np.array([0.01]), np.zeros(1), ONE)
    assert after.log_totals[0] == pytest.approx(before.log_totals[0])


def test_one_minute_of_shock_takes_no_more_than_what_was_staked() -> None:
    wealth = Wealth.start(1)
    shocked = wealth.after(seen(300, 1000, 3000, 10_000), np.array([0.01]), np.array([0.005]), ONE)
    assert wealth.log_totals[0] - shocked.log_totals[0] < -log(KEPT) + 1e-9


def test_a_canary_that_fails_more_often_is_found_and_one_that_fails_less_often_never_is() -> None:
    margin, guess = np.array([0.005]), np.array([0.01])
    worse = better = Wealth.start(1)
    for _ in range(60):
        worse = worse.after(seen(3, 100, 5, 500), guess, margin, ONE)
        better = better.after(seen(0, 100, 5, 500), guess, margin, ONE)
    assert worse.log_totals[0] > log(1000)
    assert better.log_totals[0] < 0


@pytest.mark.parametrize("guess", [0.0, 1.0, LEVEL_MIN / 2])
@pytest.mark.parametrize("margin", [0.0, 0.999])
def test_a_guess_at_the_border_stays_a_number(guess: float, margin: float) -> None:
    for outcome in (
        seen(0, 10, 0, 10),
        seen(10, 10, 0, 10),
        seen(0, 10, 10, 10),
        seen(10, 10, 10, 10),
        seen(5, 10, 1, 1),
    ):
        assert np.isfinite(log_gains(outcome, np.array([guess]), np.array([margin]))).all()


def test_the_stake_is_the_likelihood_ratio_of_the_odds_where_stable_is_many() -> None:
    (gains,) = log_gains(seen(1, 1, 0, 10**9), np.array([0.01]), np.array([0.01]))
    hedge = [10**9 * np.log1p((m - 1) / (1 + (m - 1) * 0.02) * 1e-9 * 0.01) for m in ODDS]
    ratio = [log(m / (1 + (m - 1) * 0.02)) for m in ODDS]
    assert gains == pytest.approx([a + b for a, b in zip(ratio, hedge, strict=True)], rel=1e-6)
    assert exp(gains[-1]) > 6


@pytest.mark.parametrize(("margin", "shock"), [(0.0, 0.0), (0.005, 0.0), (0.005, 1.0)])
def test_a_canary_at_the_border_of_its_margin_hardly_ever_wins_the_bets_against_it(margin: float, shock: float) -> None:
    """Three hours, looked at every minute, 3 000 times: at most one in twenty reaches 20, as Ville's inequality says."""
    rng, times, level = np.random.default_rng(20261121), 3000, np.full(3000, 0.01)
    wealth, highest, margins, one = Wealth.start(times), np.zeros(times), np.full(times, margin), np.ones(times)
    for _ in range(180):
        chance = np.minimum(0.5, 0.01 * np.exp(shock * rng.normal(size=times)))
        canary, stable = rng.binomial(40, chance + margin), rng.binomial(560, chance)
        wealth = wealth.after(
            Seen(canary.astype(float), 40 * one, stable.astype(float), 560 * one), level, margins, one
        )
        highest = np.maximum(highest, wealth.log_totals)
    assert np.mean(highest >= log(20)) <= 0.05
    assert np.mean(highest >= log(20)) > 0  # it is a bet, not a wall
