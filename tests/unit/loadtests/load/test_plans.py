"""Scenarios: every plan ends, keeps its bounds, and has its picture at any length."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.load.plans import PLANS, Scenario, canary_percent, users_at
from tests.processes import ROOT

LOCUSTFILE = ROOT / "loadtests" / "locustfile.py"
scenarios = st.sampled_from(sorted(Scenario))
seconds = st.floats(0.5, 1e5)
peaks = st.integers(1, 10_000)


@given(scenarios, st.floats(0, 2), seconds, peaks)
def test_a_plan_has_between_one_user_and_its_peak_until_it_ends(
    scenario: Scenario, part: float, seconds: float, peak: int
) -> None:
    elapsed_s = part * seconds
    users = users_at(PLANS[scenario], elapsed_s, seconds=seconds, peak=peak)
    assert users is None if elapsed_s >= seconds else users is not None and 1 <= users <= peak


@given(seconds, peaks)
def test_a_spike_is_at_its_peak_in_the_middle_and_calm_before_and_after(seconds: float, peak: int) -> None:
    def users(part: float) -> int | None:
        return users_at(PLANS[Scenario.SPIKE], part * seconds, seconds=seconds, peak=peak)

    assert users(0.5) == peak
    assert users(0.1) == users(0.9) == max(-(-peak // 10), 1)


@given(st.floats(0, 0.99), st.floats(0, 0.99), peaks)
def test_a_ramp_never_goes_down_and_ends_at_its_peak(one: float, other: float, peak: int) -> None:
    early, late = (users_at(PLANS[Scenario.RAMP], part, seconds=1, peak=peak) or 0 for part in sorted((one, other)))
    assert early <= late
    assert users_at(PLANS[Scenario.RAMP], 0.95, seconds=1, peak=peak) == peak


def test_the_canarys_share_grows_and_is_gone_at_the_end() -> None:
    shares = [canary_percent(part / 100) for part in range(101)]
    assert shares[0] == shares[100] == 0
    assert shares[:100] == sorted(shares[:100])
    assert max(shares) == 50


@pytest.mark.parametrize("scenario", sorted(Scenario))
def test_every_caller_of_a_plan_is_a_class_of_the_locustfile(scenario: Scenario) -> None:
    classes = {node.name for node in ast.parse(LOCUSTFILE.read_text()).body if isinstance(node, ast.ClassDef)}
    assert set(PLANS[scenario].callers) <= classes
