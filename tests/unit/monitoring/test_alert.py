from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.alert import TRANSITIONS, Action, Alert, Phase, Signal, Standing, due, event_id, step

HOLD_S, COOLDOWN_S = 120, 600
STANDINGS = st.lists(st.tuples(st.integers(1, 5), st.sampled_from(Standing)), max_size=80)
B, C, N = Standing.BREACH, Standing.CLEAR, Standing.NO_DATA


def run(standings: list[tuple[int, Standing]], hold_s: int = HOLD_S) -> list[tuple[int, Alert, Action | None]]:
    """The alert after each judged minute; standings come with the minutes since the one before."""
    alert, minute, found = Alert(), 1000, []
    for wait, standing in standings:
        minute += wait
        alert, action = step(alert, standing, minute, hold_s, COOLDOWN_S)
        found.append((minute, alert, action))
    return found


def phases(*standings: Standing) -> list[Phase]:
    return [alert.phase for _, alert, _ in run([(1, standing) for standing in standings])]


def test_every_phase_knows_what_every_signal_means() -> None:
    assert set(TRANSITIONS) == set(product(Phase, Signal))


def test_a_breach_fires_when_it_has_held_and_not_before() -> None:
    assert phases(B, B, B) == [Phase.PENDING, Phase.PENDING, Phase.FIRING]
    assert phases(B, C, B, B) == [Phase.PENDING, Phase.QUIET, Phase.PENDING, Phase.PENDING]


def test_silence_neither_resets_a_hold_nor_clears() -> None:
    assert phases(B, N) == [Phase.PENDING, Phase.PENDING]
    assert phases(B, N, B)[-1] is Phase.FIRING
    assert phases(B, B, B, *[N] * 50)[-1] is Phase.FIRING
    assert phases(C, N, N) == [Phase.QUIET] * 3


def test_a_clear_must_hold_too() -> None:
    assert phases(B, B, B, C, C, B)[-1] is Phase.FIRING
    assert phases(B, B, B, C, C, C)[-1] is Phase.COOLING


def test_a_relapse_before_the_cooldown_is_over_is_the_same_incident() -> None:
    found = run([(1, s) for s in (B, B, B, C, C, C, B, B, B)])
    assert found[-1][1].phase is Phase.FIRING
    assert sum(action is Action.REQUEST_RETRAIN for _, _, action in found) == 1
    assert found[-1][1].incident == found[0][0]


def test_after_the_cooldown_a_breach_is_a_new_incident() -> None:
    found = run([(1, s) for s in (B, B, B, C, C, C)] + [(11, B), (1, B), (1, B)])
    assert sum(action is Action.REQUEST_RETRAIN for _, _, action in found) == 2
    assert found[-1][1].incident == found[-3][0]


def test_a_hold_of_nothing_fires_at_once() -> None:
    assert run([(1, B)], hold_s=0)[0][1].phase is Phase.FIRING


@given(STANDINGS)
def test_there_is_one_request_an_incident_and_none_outside(standings: list[tuple[int, Standing]]) -> None:
    requested: list[int] = []
    for _, alert, action in run(standings):
        if action is Action.REQUEST_RETRAIN:
            assert alert.phase is Phase.FIRING
            assert alert.incident is not None
            requested.append(alert.incident)
        assert (alert.incident is None) == (alert.phase is Phase.QUIET)
    assert len(requested) == len(set(requested))


@given(STANDINGS)
def test_a_minute_judged_twice_asks_for_nothing_twice(standings: list[tuple[int, Standing]]) -> None:
    for (minute, alert, _), (_, standing) in zip(run(standings), standings, strict=True):
        again, action = step(alert, standing, minute, HOLD_S, COOLDOWN_S)
        assert action is None
        assert again.phase is alert.phase


@given(STANDINGS)
def test_time_alone_changes_an_alert_exactly_when_it_is_due(standings: list[tuple[int, Standing]]) -> None:
    for (minute, alert, _), (_, standing) in zip(run(standings), standings, strict=True):
        at = due(alert, HOLD_S, COOLDOWN_S)
        for later in range(minute + 1, min(at or minute + 40, minute + 40)):
            assert step(alert, standing, later, HOLD_S, COOLDOWN_S)[0].phase is alert.phase


@pytest.mark.parametrize("other", [("n", "sha256:aa", 5), ("m", "sha256:bb", 5), ("m", "sha256:aa", 6)])
def test_an_event_id_follows_from_model_bytes_and_beginning(other: tuple[str, str, int]) -> None:
    assert event_id("m", "sha256:aa", 5) == event_id("m", "sha256:aa", 5)
    assert event_id("m", "sha256:aa", 5) != event_id(*other)
    assert event_id("m", "sha256:aa", 5).startswith("evt_")
