"""The report: what it must say of a run, good or bad, and that nothing said by others becomes markup."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from loadtests.load.joined import Counts, equations, of_callers
from loadtests.load.objective import Objective
from loadtests.load.outcome import Kind, Mark, Told
from loadtests.load.page import document
from loadtests.load.pictures import callers, service, steps_of
from loadtests.load.plans import PLANS, Scenario
from loadtests.load.scraped import Look, Page, page_of
from loadtests.load.seen import Seen

BEGAN_S = 1_800_000_000.0
REQUESTS = 'plumbline_requests_total{{arm="stable",code="",model="m",outcome="answered",version="1"}} {n}\n'
BUCKET = 'plumbline_request_duration_seconds_bucket{{arm="stable",le="{le}",model="m",version="1"}} {n}\n'


def counted(n: int) -> Page:
    return page_of(REQUESTS.format(n=n) + "".join(BUCKET.format(le=le, n=n) for le in ("0.01", "+Inf")))


def seen(seconds: int = 4) -> Seen:
    found = Seen()
    for second in range(seconds):
        for latency_ms in (1.0, 2.0, 30.0):
            found.note(ended_s=BEGAN_S + second, status=200, wrong=False, latency_ms=latency_ms)
    return found


def told(**changes: object) -> Told:
    both = Counts(12, {"answered": 12}, logged=12, dropped=0)
    saw = seen()
    whole = Told(
        scenario=Scenario.SPIKE,
        plan=PLANS[Scenario.SPIKE],
        objective=Objective(100, 0),
        url="http://127.0.0.1:3000",
        began_s=BEGAN_S,
        seconds=4.0,
        peak=20,
        machine="Locust on 2 cores",
        processes=0,
        seen=saw,
        looks=[Look(float(at), 3, counted(3 * at), 300 << 20) for at in range(5)],
        counted=counted(12),
        callers=of_callers(saw.outcomes()),
        counters=both,
        log=both,
        equations=equations(of_callers(saw.outcomes()), both, both, ()),
        notes=[],
        marks=[Mark(1.0, "canary 2: 5 %")],
        kinds=[Kind("/v1/models/m:predict", 12, 0, 2.0, 30.0, 30.0)],
        problems=[],
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def page(of: Told) -> str:
    """With empty pictures: drawing takes a second."""
    return document(of, "", "<svg></svg>", "<svg></svg>" if of.counted is not None else None)


def test_a_good_run_says_so_with_its_figures_and_its_books() -> None:
    text = page(told())
    assert told().good
    assert "The objective was met" in text
    assert "log: received 12 = answered 12 + rejected 0 + shed 0 + failed 0" in text
    assert "1 s: canary 2: 5 %" in text
    assert 'class="verdict bad"' not in text


def test_a_missed_objective_is_the_headline() -> None:
    bad = told(objective=Objective(1, 0))
    assert not bad.good
    assert re.search(r'class="verdict bad"><strong>The objective was missed.*p99 was 3\d\.\d ms', page(bad), re.DOTALL)


def test_books_that_do_not_add_up_are_the_headline_where_the_objective_was_met() -> None:
    lost = Counts(11, {"answered": 11}, logged=11, dropped=0)
    bad = told(log=lost, equations=equations(told().callers, lost, lost, ()))
    assert not bad.good
    assert '<div class="verdict bad"><strong>The books do not add up' in page(bad)


def test_a_run_that_saw_nothing_has_a_report_too() -> None:
    nothing = told(
        seen=Seen(),
        looks=[],
        counted=None,
        counters=None,
        log=None,
        equations=[],
        marks=[],
        kinds=[],
        callers=Counts(0, {}),
    )
    text = page(nothing)
    assert not nothing.good
    assert "Nothing went right of 0 requests" in text
    assert "could not be read before and after the run" in text


@pytest.mark.parametrize("place", ["url", "notes", "marks", "kinds", "problems"])
def test_what_others_said_never_becomes_markup(place: str) -> None:
    evil = "<script>alert(1)</script>"
    values = {
        "url": evil,
        "notes": [evil],
        "marks": [Mark(1.0, evil)],
        "kinds": [Kind(evil, 1, 1, 1.0, 1.0, 1.0)],
        "problems": [(3, evil)],
    }
    text = page(told(**{place: values[place]}))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_the_report_asks_nobody_for_anything_and_the_text_of_its_pictures_is_text() -> None:
    run = told()
    text = document(run, "", callers(run), service(run))
    assert re.findall(r'(?:src|href)="(?!#)([^"]*)"|url\((?!#)([^)]*)\)|<script|@import', text) == []
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        tree = ET.fromstring(svg.replace("xlink:href", "href"))
        assert "seconds since the beginning" in "".join(tree.itertext())


def test_a_look_without_a_page_leaves_a_longer_step_and_loses_nothing() -> None:
    looks = [Look(0, 1, counted(0), None), Look(1, 1, None, None), Look(2, 1, counted(8), None)]
    ((at_s, length_s, page),) = steps_of(looks)
    assert (at_s, length_s, page.total("plumbline_requests_total")) == (1, 2, 8)
