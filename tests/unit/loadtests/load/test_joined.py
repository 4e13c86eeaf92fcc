"""Three sides of one run: what must be equal is, and whatever is not is seen."""

from dataclasses import replace
from typing import Any

import pytest

from loadtests.load.joined import Counts, equations, of_callers, of_counters, of_log
from loadtests.load.scraped import page_of

GOOD = {"answered": 90, "rejected": 4, "shed": 5, "failed": 1}
SERVER = Counts(100, GOOD, logged=88, dropped=2)
CALLERS = Counts(100, GOOD)


def broken(callers: Counts, counters: Counts | None, log: Counts | None, *faults: str) -> list[str]:
    return [one.says for one in equations(callers, counters, log, faults) if not one.holds]


def test_what_adds_up_adds_up() -> None:
    told = equations(CALLERS, SERVER, SERVER, ())
    assert all(one.holds for one in told)
    assert "log: received 100 = answered 90 + rejected 4 + shed 5 + failed 1" in [one.says for one in told]
    assert "log: answered 90 = logged 88 + dropped 2" in [one.says for one in told]


@pytest.mark.parametrize(
    "log",
    [
        replace(SERVER, received=101),
        replace(SERVER, logged=87),
        replace(SERVER, outcomes={**GOOD, "answered": 91, "shed": 4}),
        replace(SERVER, received=99, outcomes={**GOOD, "failed": 0}),
    ],
    ids=["received", "logged", "moved", "lost"],
)
def test_every_difference_breaks_an_equation(log: Counts) -> None:
    assert broken(CALLERS, SERVER, log)


def test_an_answer_that_the_server_does_not_know_is_seen() -> None:
    assert broken(replace(CALLERS, outcomes={**GOOD, "answered": 91}), SERVER, SERVER)


def test_others_may_ask_too_and_who_gave_up_may_have_been_answered() -> None:
    callers = Counts(100, {**GOOD, "answered": 80, "unanswered": 10})
    (told,) = (one for one in equations(callers, SERVER, None, ()) if "locust" in one.says)
    assert told.holds
    assert told.says == (
        "counters: received 100 = locust's answers 90 + 10 that locust did not count; 10 requests of locust had no answer"
    )


def plus(side: Counts, answered: int) -> Counts:
    outcomes = {**side.outcomes, "answered": side.of("answered") + answered}
    return replace(side, received=side.received + answered, outcomes=outcomes, logged=(side.logged or 0) + answered)


@pytest.mark.parametrize(("asked", "good"), [(-1, False), (0, True), (3, True), (7, True), (8, False)])
def test_what_others_asked_between_the_looks_may_be_in_the_log_and_no_more(asked: int, good: bool) -> None:
    log, around = plus(SERVER, asked), plus(SERVER, 7)
    told = [one for one in equations(CALLERS, SERVER, log, (), around) if "others asked between" in one.says]
    assert [one.holds for one in told] == [good]
    assert (not [one for one in equations(CALLERS, SERVER, log, (), around) if not one.holds]) is good


def test_where_nobody_asked_between_the_looks_the_log_has_exactly_what_was_counted() -> None:
    (said,) = (one.says for one in equations(CALLERS, SERVER, plus(SERVER, 1), (), SERVER) if not one.holds)
    assert said == "counters 100 = log 101, outcome by outcome"


def test_what_others_had_under_way_at_a_look_is_missing_from_no_sum() -> None:
    looked = replace(plus(SERVER, 5), received=107)  # seven asked, two have no answer yet
    around = plus(SERVER, 9)
    assert not [one for one in equations(CALLERS, looked, plus(SERVER, 7), (), around) if not one.holds]
    assert [one for one in equations(CALLERS, looked, None, (), looked) if not one.holds], "nobody asked at a look"
    lost = replace(SERVER, received=101)
    assert [
        one
        for one in equations(replace(CALLERS, outcomes={**GOOD, "answered": 91}), lost, None, (), around)
        if not one.holds
    ]


def test_a_fault_of_the_log_is_said() -> None:
    assert broken(CALLERS, SERVER, SERVER, "w0 epoch 1: gap") == ["log verify: w0 epoch 1: gap"]


def test_what_could_not_be_read_is_no_equation() -> None:
    assert equations(CALLERS, None, None, ()) == []


def test_the_log_is_what_it_says_now_less_what_it_said_before() -> None:
    def told(answered: int, rejected: int, dropped: dict[str, int]) -> dict[str, Any]:
        logged = answered - sum(dropped.values())
        outcomes = {"answered": answered, "rejected": rejected, "shed": 0, "failed": 0}
        return {"received": answered + rejected, **outcomes, "logged": logged, "log_dropped": dropped}

    counts = of_log(told(10, 1, {}), told(30, 2, {"disk_full": 3}))
    assert counts == Counts(21, {"answered": 20, "rejected": 1, "shed": 0, "failed": 0}, logged=17, dropped=3)


def test_counters_are_read_by_outcome() -> None:
    page = page_of(
        "plumbline_requests_received_total 3.0\n"
        'plumbline_requests_total{model="m",outcome="answered"} 2.0\n'
        'plumbline_requests_total{model="n",outcome="shed"} 1.0\n'
        'plumbline_log_records_total{outcome="answered"} 2.0\n'
        'plumbline_log_records_total{outcome="shed"} 1.0\n'
    )
    assert of_counters(page) == Counts(3, {"answered": 2, "shed": 1}, logged=2, dropped=0)
    assert of_callers({"answered": 2, "unanswered": 1}).known == 2
