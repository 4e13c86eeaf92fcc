"""The one sentence: the most urgent first, and quiet only where something was judged."""

import msgspec

from monitoring.alert import Alert, Phase
from monitoring.console.headline import HEADLINES_MAX, Level, breaching, headlines_of
from monitoring.dispatch.status import ReceiverStatus
from monitoring.state import State
from monitoring.status import AlertStatus, LogStatus, OutboxStatus, Status, VersionStatus
from monitoring.volume.said import VolumeStatus
from tests.unit.monitoring.console.made import LOOP, folded, status_of

CALM = status_of(folded())


def of(status: Status, **changes: object) -> Status:
    return msgspec.structs.replace(status, **changes)


def in_phase(phase: Phase, status: Status = CALM, **alert: object) -> VersionStatus:
    quiet = AlertStatus(Alert().phase, 60, None, ())
    return of(status.versions[0], alert=of(quiet, phase=phase, **alert))  # type: ignore[type-var]


def test_unchanged_traffic_is_quiet_and_says_how_much_was_judged() -> None:
    (only,) = headlines_of(CALM, None)
    assert (only.level, only.word) == (Level.GOOD, "All quiet")
    assert only.sentence.startswith("Nothing stands out in ")
    assert only.sentence.endswith(" of 1 version.")


def test_an_incident_is_told_by_its_story_and_says_what_to_do_and_where_to_look() -> None:
    (first, *_) = headlines_of(status_of(folded(scale=1000.0)), None)
    assert (first.level, first.word, first.feature) == (Level.BAD, "Incident", "f0")
    assert "`f0` arrives 1000 times too large" in first.sentence
    assert "mend the source" in first.todo
    assert first.command == "plumbline log tail -f --model payments"


def test_where_only_one_version_s_answers_changed_it_says_go_back() -> None:
    story = {"sentence": "`score` moved", "cause": "version", "columns": [{"column": "score"}]}
    (first,) = headlines_of(of(CALM, versions=(in_phase(Phase.FIRING, incident_s=120, story=story),)), None)
    assert (first.command, first.since_s) == ("plumbline routes rollback payments", 120)


def test_a_monitor_that_does_not_watch_is_the_first_thing_said() -> None:
    first, second = headlines_of(status_of(folded(scale=1000.0)), "last tick 40 s ago")[:2]
    assert (first.word, second.word) == ("Not watching", "Incident")
    assert "last tick 40 s ago" in first.sentence


def test_what_is_suspect_and_what_recovers_come_after_incidents_and_before_nothing() -> None:
    versions = tuple(in_phase(phase) for phase in (Phase.PENDING, Phase.COOLING, Phase.FIRING))
    found = headlines_of(of(CALM, versions=versions), None)
    assert [one.word for one in found] == ["Incident", "Suspect", "Recovering"]


def test_no_data_is_never_good_news() -> None:
    started = of(status_of(State()), loop=of(LOOP, ticks=0))  # type: ignore[type-var]
    few = status_of(folded(minutes=1, rows_per_minute=10))
    words = [headlines_of(status, None)[0].word for status in (started, status_of(State()), few)]
    assert words == ["Starting", "No data", "Too little data"]
    assert {headlines_of(status, None)[0].level for status in (started, status_of(State()), few)} == {Level.UNKNOWN}


def test_what_the_monitor_could_not_do_is_said_with_what_to_do() -> None:
    failing = ReceiverStatus("ops", "slack", events={"due": 2}, disabled=True)
    log: LogStatus = of(CALM.log, lost_records={"crc": 3}, caught_up=False, lag_bytes=2**30)  # type: ignore[assignment, type-var]
    odd = of(
        CALM,
        log=log,
        outbox=OutboxStatus("ops", receivers=(failing,), last_error="500", refused=1),
        archive=of(CALM.archive, last_error="ENOSPC"),  # type: ignore[type-var]
        volumes=(VolumeStatus("payments", 3600, "changed", rows=5, low=90.0, high=120.0),),
    )
    found = {one.word: one for one in headlines_of(odd, None)}
    assert set(found) == {"Log has holes", "Behind", "Receiver gone", "Delivery", "Outbox full", "Archive", "Traffic"}
    assert found["Log has holes"].command == "plumbline log verify"
    assert found["Traffic"].sentence == "payments: 5 rows in the last whole hour, 90 to 120 are usual."
    assert {one.level for one in found.values()} == {Level.WARN}


def test_there_are_never_more_than_a_page_holds() -> None:
    many = tuple(of(in_phase(Phase.FIRING), model=f"m{i}") for i in range(HEADLINES_MAX + 9))  # type: ignore[type-var]
    assert len(headlines_of(of(CALM, versions=many), None)) == HEADLINES_MAX


def test_what_is_furthest_beyond_its_tolerance_comes_first() -> None:
    found = breaching(status_of(folded(scale=1000.0)).versions[0])
    times = [(one.effect or 0) / (one.tolerance or 1) for one in found]
    assert times == sorted(times, reverse=True)
    assert found[0].column == "f0"
