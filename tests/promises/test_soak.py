"""The soak's judgement: a leak is told from noise, from steps, and from what grows until it is full."""

import random

from tests.promises.soak import TOLERATED_MIB_A_MINUTE, line_of

SECONDS = [second / 2 for second in range(240)]


def test_a_leak_is_seen_though_samples_are_noisy() -> None:
    dice = random.Random(1)
    samples = [(s, 100 + 2 * TOLERATED_MIB_A_MINUTE * s / 60 + dice.gauss(0, 0.3)) for s in SECONDS]
    assert line_of("x", samples).leaks


def test_noise_is_no_leak_nor_is_one_step_or_a_rise_that_ends() -> None:
    dice = random.Random(1)
    assert not line_of("x", [(s, 100 + dice.gauss(0, 5)) for s in SECONDS]).leaks
    assert not line_of("x", [(s, 100 + 20 * (s > 90)) for s in SECONDS]).leaks
    assert not line_of("x", [(s, 100 + min(40.0, s)) for s in SECONDS]).leaks
