from collections.abc import Iterable

import msgspec
import numpy as np
import pytest

from monitoring.rollout.decide import begin, decide, replay
from monitoring.rollout.document import REQUESTS_FLOOR, Guards, LabelGuard, LatencyGuard, Rollout, ShareGuard
from monitoring.rollout.evidence import Counts, Cuts, Minute, Part
from monitoring.rollout.guards import Watch
from monitoring.rollout.outcome import (
    Advance,
    Baking,
    Changing,
    Done,
    Hold,
    NotApplied,
    NoTraffic,
    Outcome,
    Rollback,
    Suspicion,
    TooFewLabels,
    TooFewRequests,
    Unseen,
)
from tests.unit.monitoring.rollout.made import CUTS, alike, arm, minute

START = 29_000_000
ROLLOUT = Rollout(version="2", steps=(5, 50, 100), bake_s=180, requests_min=40)


def outcomes(minutes: Iterable[Minute], rollout: Rollout = ROLLOUT) -> list[Outcome]:
    return [outcome for _, outcome in replay(rollout, Watch.of(rollout.guards, CUTS), minutes)]


def numbers(n: int) -> range:
    return range(START + 1, START + 1 + n)


def followed(rollout: Rollout, canary: Counts, stable: Counts, minutes: int = 300) -> list[Outcome]:
    """What is said when each Advance is applied with the next minute."""
    watch, percent = Watch.of(rollout.guards, CUTS), rollout.steps[0]
    progress, said = begin(watch), list[Outcome]()
    for number in numbers(minutes):
        beside = arm(0) if percent == 100 else stable
        progress, outcome = decide(rollout, watch, progress, minute(number, canary, beside, percent))
        said.append(outcome)
        if isinstance(outcome, Advance):
            percent = outcome.percent
        if progress.ended is not None:
            break
    return said


def test_a_canary_like_stable_goes_through_its_steps_and_is_done() -> None:
    assert followed(ROLLOUT, arm(20), arm(380)) == [
        Hold(Baking(60, 180)),
        Hold(Baking(120, 180)),
        Advance(1, 50),
        Hold(Baking(60, 180)),
        Hold(Baking(120, 180)),
        Advance(2, 100),
        Done(),
    ]


def test_an_advance_that_nobody_applies_advances_nothing() -> None:
    said = outcomes(alike(number, percent=5) for number in numbers(2000))
    assert said[2] == Advance(1, 50)
    assert set(said[3:]) == {Hold(NotApplied(50))}


def test_steps_below_a_hundred_end_in_done_too() -> None:
    said = outcomes([alike(n) for n in numbers(9)], Rollout(version="2", steps=(5,), bake_s=60, requests_min=1))
    assert said == [Hold(Unseen("errors")), Done()]  # the first minute only says what stable is like


@pytest.mark.parametrize(("canary", "stable", "missing"), [(0, 400, "canary"), (20, 0, "stable"), (0, 0, "canary")])
def test_no_traffic_of_an_arm_is_hold_however_long_it_lasts(canary: int, stable: int, missing: str) -> None:
    said = outcomes([alike(number, canary, stable) for number in numbers(5000)])
    assert set(said) == {Hold(NoTraffic(missing))}


def test_silence_does_not_bake() -> None:
    minutes = [alike(number, canary=0 if number % 2 else 20) for number in numbers(5)]
    assert outcomes(minutes)[-1] == Hold(Baking(120, 180)) or outcomes(minutes)[-1] == Hold(NoTraffic("canary"))
    assert not any(isinstance(outcome, Advance) for outcome in outcomes(minutes))


def test_too_few_requests_hold_the_step_after_its_time() -> None:
    rollout = msgspec.structs.replace(ROLLOUT, guards=Guards(errors=ShareGuard(0.005)))
    said = outcomes([alike(number, canary=2) for number in numbers(40)], rollout)
    assert said[2] == Hold(TooFewRequests(6, 40))
    assert said[18] == Hold(TooFewRequests(38, 40))
    assert said[19] == Hold(TooFewRequests(38, 40))  # those of the first minute were held against nothing
    assert said[20] == Advance(1, 50)


def test_answers_that_came_before_anything_was_known_of_stable_let_no_step_end() -> None:
    rollout = Rollout(version="2", steps=(5, 100), bake_s=60, requests_min=100)
    minutes = [alike(START + 1, canary=5000), *(alike(START + 1 + n, canary=10) for n in range(1, 12))]
    said = outcomes(minutes, rollout)
    assert said[:2] == [Hold(Unseen("errors")), Hold(TooFewRequests(10, 100))]
    assert said.index(Advance(1, 100)) == 10


@pytest.mark.parametrize("excess", [0.5, 0.2])
def test_a_canary_of_few_requests_that_fails_many_of_them_never_becomes_stable(excess: float) -> None:
    """With the fewest requests a document may ask for, an hour of five requests a minute and steps of a minute."""
    rollout = Rollout(version="2", steps=(25, 50, 100), bake_s=60, requests_min=REQUESTS_FLOOR)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        watch = Watch.of(rollout.guards, CUTS)
        progress, percent = begin(watch), rollout.steps[0]
        for number in numbers(600):
            of_canary = int(rng.binomial(20, percent / 100))
            canary = arm(of_canary, failed=int(rng.binomial(of_canary, excess)))
            progress, outcome = decide(rollout, watch, progress, minute(number, canary, arm(20 - of_canary), percent))
            percent = outcome.percent if isinstance(outcome, Advance) else percent
            if progress.ended is not None:
                break
        assert isinstance(progress.ended, Rollback), f"seed {seed}: {progress.ended}"


def test_labels_that_were_asked_for_are_waited_for() -> None:
    rollout = Rollout(
        version="2", steps=(5,), bake_s=60, requests_min=1, guards=Guards(labels=LabelGuard(0.02, labels_min=30))
    )
    minutes = [minute(n, arm(20, labelled=10, wrong=1), arm(380, labelled=50, wrong=5)) for n in numbers(5)]
    assert outcomes(minutes, rollout) == [Hold(TooFewLabels(10, 30)), Hold(TooFewLabels(20, 30)), Done()]


@pytest.mark.parametrize(
    ("guard", "bad"),
    [
        ("errors", {"failed": 4}),
        ("rejections", {"rejected": 4}),
        ("latency p50", {"took_us": 2500}),
        ("predictions", {"value_bin": 3}),
        ("labels", {"labelled": 20, "wrong": 8}),
    ],
)
def test_each_guard_rolls_back_what_it_is_there_for(guard: str, bad: dict[str, int]) -> None:
    guards = Guards(
        errors=ShareGuard(0.005),
        rejections=ShareGuard(0.01),
        latency=(LatencyGuard(0.5, 1.25),),
        predictions=ShareGuard(0.1),
        labels=LabelGuard(0.02),
    )
    rollout = Rollout(version="2", steps=(5, 100), bake_s=3600, guards=guards)
    minutes = [minute(number, arm(20, **bad), arm(380, labelled=380, wrong=38)) for number in numbers(60)]
    *_, last = outcomes(minutes, rollout)
    assert isinstance(last, Rollback)
    assert last.finding.guard == guard
    assert last.finding.canary > last.finding.stable + last.finding.margin
    assert last.finding.log10_evidence >= last.finding.log10_needed


def test_a_canary_that_turns_bad_before_it_has_its_last_100_percent_is_rolled_back() -> None:
    """Nobody applies the Advance: a pause, or a service that cannot be reached."""
    rollout = Rollout(version="2", steps=(50, 100), bake_s=60, requests_min=100)
    good = [alike(number, 200, 200, 50) for number in numbers(3)]
    bad = [minute(START + 10 + n, arm(200, failed=40), arm(200), 50) for n in range(20)]
    said = outcomes([*good, *bad], rollout)
    assert said[1:3] == [Advance(1, 100), Hold(NotApplied(100))]  # the first minute only says what stable is like
    assert isinstance(said[-1], Rollback)


def test_a_minute_without_any_request_is_not_the_end() -> None:
    rollout = Rollout(version="2", steps=(100,))
    said = outcomes([minute(START + 1, arm(0), arm(0), 100), minute(START + 2, arm(9), arm(0), 100)], rollout)
    assert said == [Hold(NoTraffic("canary")), Done()]


def test_a_rollback_outlives_what_comes_after_it() -> None:
    watch = Watch.of(ROLLOUT.guards, CUTS)
    progress, outcome = begin(watch), None
    for number in numbers(60):
        progress, outcome = decide(ROLLOUT, watch, progress, minute(number, arm(20, failed=10), arm(380)))
    assert isinstance(outcome, Rollback)
    progress, again = decide(ROLLOUT, watch, progress, alike(START + 100))
    assert again == outcome == progress.ended


def test_suspicion_holds_a_step_that_is_otherwise_over() -> None:
    """A canary that failed at first and then stopped: it is not rolled back, and not waved through either."""
    failed = {START + 2: 10}
    said = outcomes(minute(n, arm(20, failed=failed.get(n, 0)), arm(380, failed=3)) for n in numbers(10))
    assert isinstance(said[1], Hold)
    assert isinstance(said[1].reason, Suspicion)
    assert said[1].reason.finding.guard == "errors"
    assert Advance(1, 50) in said[3:]


def test_a_minute_in_which_the_share_changed_is_no_evidence() -> None:
    watch = Watch.of(ROLLOUT.guards, CUTS)
    mixed = Minute(START, arm(20, failed=20), arm(380), arm(190), low_bp=490, high_bp=120)
    progress, outcome = decide(ROLLOUT, watch, begin(watch), mixed)
    assert outcome == Hold(Changing())
    assert not progress.sums.any()
    assert not progress.past.any()


def test_a_minute_of_another_share_is_evidence_but_no_time_of_the_step() -> None:
    said = outcomes(minute(number, arm(20, failed=10), arm(380), percent=50) for number in numbers(60))
    assert said[0] == Hold(NotApplied(5))
    assert isinstance(said[-1], Rollback)


def test_evidence_goes_on_from_step_to_step() -> None:
    """Errors too few for any one step add up over all of them."""
    rollout = Rollout(version="2", steps=(1, 5, 10, 20, 40, 80), bake_s=180, requests_min=1)
    said = followed(rollout, arm(20, failed=1), arm(380, failed=4))
    assert any(isinstance(outcome, Advance) for outcome in said)
    assert isinstance(said[-1], Rollback)


def test_requests_that_the_document_counts_together_are_fewer_witnesses() -> None:
    rollout = msgspec.structs.replace(ROLLOUT, bake_s=86_400)
    minutes = [minute(n, arm(20, failed=2), arm(380, failed=3)) for n in numbers(200)]
    alone, grouped = outcomes(minutes, rollout), outcomes(minutes, msgspec.structs.replace(rollout, together=20))
    assert isinstance(alone[-1], Rollback)
    assert len(grouped) > 3 * len(alone)


def test_a_replay_says_the_same_to_the_byte() -> None:
    minutes = [minute(n, arm(20, failed=n % 2), arm(380, failed=4)) for n in numbers(40)]
    assert msgspec.json.encode(outcomes(minutes)) == msgspec.json.encode(outcomes(minutes))


def test_outcomes_name_themselves_in_json() -> None:
    assert msgspec.json.encode(Hold(NoTraffic("canary"))) == b'{"is":"hold","reason":{"is":"notraffic","arm":"canary"}}'


def test_a_guard_that_has_nothing_to_compare_holds_the_rollout() -> None:
    rollout = Rollout(version="2", steps=(5,), bake_s=60, requests_min=1)
    without = [
        Minute(n, arm(20)[: Part.OUTPUTS], arm(380)[: Part.OUTPUTS], arm(190)[: Part.OUTPUTS], 500, 500)
        for n in numbers(9)
    ]
    *_, last = replay(rollout, Watch.of(rollout.guards, Cuts.of([])), without)
    assert last[1] == Hold(Unseen("predictions"))
