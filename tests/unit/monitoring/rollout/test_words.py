import pytest

from monitoring.rollout.document import Rollout
from monitoring.rollout.outcome import (
    Advance,
    Baking,
    Changing,
    Done,
    Finding,
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
from monitoring.rollout.words import sentence

ERRORS = Finding("errors", "errors", 0.04, 0.01, 0.005, 500, 9500, 3.01, 2.7)
SHOWN = "errors (errors): canary 4.00% of 500, stable 1.00% of 9500, margin 0.50%; evidence 10^3.0, needed 10^2.7"


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Advance(1, 5.0), "advance to 5 %, step 2 of 5"),
        (Rollback(ERRORS), f"roll back: {SHOWN}"),
        (Done(), "done: all steps are over, the canary may become stable"),
        (
            Hold(Baking(60, 600)),
            "hold: this step has lasted 60 s of 600 s, counted in minutes with requests of both arms",
        ),
        (Hold(TooFewRequests(3, 500)), "hold: the canary has answered 3 requests in this step, expected 500"),
        (Hold(TooFewLabels(0, 100)), "hold: 0 of the canary's answers have a label, expected 100"),
        (Hold(Unseen("predictions")), "hold: guard predictions: nothing to compare yet in one of the arms"),
        (Hold(NoTraffic("canary")), "hold: no request of the canary arm in this minute"),
        (Hold(Changing()), "hold: the share changed in this minute"),
        (Hold(NotApplied(25.0)), "hold: the log does not show the step's share of 25 % yet"),
        (Hold(Suspicion(ERRORS)), f"hold: suspicion, not yet proof: {SHOWN}"),
    ],
)
def test_every_outcome_is_a_sentence(outcome: Outcome, said: str) -> None:
    assert sentence(outcome, Rollout(version="2")) == said
