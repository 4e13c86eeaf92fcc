"""Did the loss rise: what the gate of retrainings is told, from records on."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from monitoring.dispatch.decide import History, Policy, dispatch
from monitoring.dispatch.deliveries import Due, Held, Why
from monitoring.dispatch.facts import facts_of
from monitoring.dispatch.hands import Hands
from monitoring.dispatch.present import rise_now
from monitoring.events import Event
from monitoring.fold import fold
from monitoring.labels.held import labels_said
from monitoring.labels.rise import Rise
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.state import State
from monitoring.status import Status
from service.featurelog.record import Ledger, Record
from tests.reference import EMPTY
from tests.unit.monitoring.dispatched import WEBHOOK
from tests.unit.monitoring.labels.made import (
    DAY,
    MINUTE_US,
    START_MINUTE,
    SUBJECT,
    chunk,
    draw,
    label,
    performance,
    reference,
    request,
    run,
)

HELD_OUT = reference(performance(50_000))
RULES = Rules(label_rows_max=5_000, drift_windows_s=(86_400,))


def traffic(rng: np.random.Generator, *, moved: float, centre: float, labelled: bool) -> list[Record]:
    """Two days, sixty rows an hour; labels come an hour and a half later."""
    found: list[Record] = []
    for minute in range(START_MINUTE, START_MINUTE + 2 * DAY, 60):
        for place, (score, hit) in enumerate(zip(*draw(60, rng, centre=centre, moved=moved), strict=True)):
            found.append(request(minute, f"{minute}-{place}", [float(score)], second=place))
            if labelled:
                found.append(label(minute + 90, f"{minute}-{place}", bool(hit), second=place))
    end = Ledger((START_MINUTE + 2 * DAY + 200) * MINUTE_US, 0, {}, {}, {})
    return sorted([*found, end], key=lambda record: record.at_us)


def folded(records: Sequence[Record], held_against: Reference) -> tuple[list[Event], Status]:
    """The events, and the monitor's status when they are offered."""
    state, references = State(), {SUBJECT.digest: held_against}
    events = fold(state, chunk(run("w0", *records)), settled=True, rules=RULES, references=references)
    known = labels_said(state.labels, state.closed or 0, [SUBJECT], RULES, references)
    return events, msgspec.structs.replace(EMPTY, labels=known)


def rise_of(held_against: Reference = HELD_OUT, *, moved: float = 0.0, centre: float = -2.0, labelled: bool) -> Rise:
    records = traffic(np.random.default_rng(1), moved=moved, centre=centre, labelled=labelled)
    _, status = folded(records, held_against)
    (version,) = status.labels.versions
    return version.rise


@pytest.mark.parametrize(
    ("moved", "centre", "labelled", "rise"),
    [
        (1.2, -2.0, True, Rise.ROSE),  # scores came to mean less
        (0.0, -0.5, False, Rise.ROSE),  # harder cases, by their scores alone
        (0.0, -2.0, True, Rise.NOT_RISEN),
        (-1.2, -2.0, True, Rise.NOT_RISEN),  # not as promised, and less of it
        (0.0, -2.0, False, Rise.UNKNOWN),  # a promise that did not rise is no witness
    ],
)
def test_the_loss_rose_by_its_labels_or_by_its_scores(moved: float, centre: float, labelled: bool, rise: Rise) -> None:
    assert rise_of(moved=moved, centre=centre, labelled=labelled) is rise


def test_without_a_reference_nothing_is_known_of_the_loss() -> None:
    assert rise_of(reference(None), moved=1.2, labelled=True) is Rise.UNKNOWN


def test_a_gate_holds_a_drift_whose_labels_say_that_nothing_was_lost_and_lets_one_through_that_costs() -> None:
    """Easier cases drift, and are answered as well as promised; then the same without a check that labels could fail."""
    policy, outcomes = Policy(gate=True), []
    for moved in (0.0, 1.5):
        records = traffic(np.random.default_rng(2), moved=moved, centre=-3.0, labelled=True)
        (event, *_), status = folded(records, HELD_OUT)
        facts = facts_of(event.body)
        history = History(rise=rise_now(status, facts))
        outcomes.append(dispatch(facts, WEBHOOK, Hands(), history, policy, 1e6))
    assert outcomes == [Held(Why.GATE, 1e6, note="not_risen"), Due(1e6, facts.id)]
