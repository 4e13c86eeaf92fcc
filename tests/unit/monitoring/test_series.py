"""Traffic over time: what a point says, what is kept of it, and that reading disturbs nothing."""

import msgspec
import numpy as np
import pytest

from monitoring.console.chart import LINES_MAX, RANGES, chart_of
from monitoring.series import POINTS_MAX, Of, Series, StoredSteps, restore, store
from monitoring.sketch import RELATIVE_ERROR
from monitoring.tally import tally_requests
from service.featurelog.record import Outcome, Request
from tests.unit.monitoring.made import START_MINUTE
from tests.unit.monitoring.made import traffic as records

LINE = ("payments", "1", "sha256:a", "stable")
START = START_MINUTE // 60 * 60  # an hour begins


def traffic(ms: list[float], failed: int = 0) -> np.ndarray:
    """Of so many answered requests, and so many that failed."""
    known = {"rows": 1, "model": "payments", "outcome": Outcome.ANSWERED}
    like = msgspec.structs.replace(request(), **known)
    answered = [msgspec.structs.replace(like, total_us=round(1000 * one)) for one in ms]
    others = [msgspec.structs.replace(like, outcome=Outcome.FAILED)] * failed
    return tally_requests([*answered, *others], None).traffic


def request() -> Request:
    found = records(np.random.default_rng(0), minutes=[START], rows_per_minute=1, floats=1)[0]
    assert isinstance(found, Request)
    return found


def filled(minutes: int, line: tuple[str, str, str, str] = LINE) -> Series:
    series = Series()
    for minute in range(START, START + minutes):
        series.take(line, minute, traffic([10.0, 20.0], failed=1))
    return series


def test_a_point_holds_all_of_its_step_and_its_quantiles_are_of_all_requests() -> None:
    series = Series()
    for minute in range(10):
        series.take(LINE, START + minute, traffic([1.0] * 9 + [100.0 * (minute == 9) + 1.0], failed=1))
    (point,) = series.lines[LINE][10].known()
    assert (point[Of.REQUESTS], point[Of.FAILED]) == (110, 10)
    assert point[Of.P50] == pytest.approx(1000, rel=RELATIVE_ERROR)
    assert point[Of.P99] == pytest.approx(1000, rel=RELATIVE_ERROR)  # one in a hundred is above it
    assert len(series.lines[LINE][1].known()) == 10


def test_no_more_points_are_held_than_the_limit_and_the_newest_stay() -> None:
    series = filled(POINTS_MAX[1] + 30)
    points = series.lines[LINE][1].known()
    assert len(points) == POINTS_MAX[1] + 1
    assert points[-1][Of.STEP] == START + POINTS_MAX[1] + 29


def test_what_is_late_is_in_no_point() -> None:
    series = filled(20)
    before = series.lines[LINE][10].known().tolist()
    series.take(LINE, START, traffic([5.0]))
    assert series.lines[LINE][10].known().tolist() == before


def test_a_checkpoint_brings_back_what_was_held_and_it_goes_on_as_it_would_have() -> None:
    series = filled(75)
    written = msgspec.msgpack.encode(store(series))
    again = restore(msgspec.msgpack.decode(written, type=list[StoredSteps]))
    for one in (series, again):
        one.take(LINE, START + 75, traffic([7.0]))
    for minutes in POINTS_MAX:
        assert again.lines[LINE][minutes].known().tolist() == series.lines[LINE][minutes].known().tolist()


def test_who_reads_sees_what_was_when_they_asked() -> None:
    series = filled(5)
    shown = series.shown(START + 4)
    before = chart_of(shown, "payments", "3h")
    series.take(LINE, START + 5, traffic([1.0]))
    assert chart_of(shown, "payments", "3h") == before


def test_lines_that_are_counted_no_more_are_forgotten() -> None:
    series = filled(2)
    series.forget([])
    assert series.lines == {}


@pytest.mark.parametrize("name", RANGES)
def test_a_chart_has_rates_of_each_version_on_one_grid(name: str) -> None:
    series = filled(120)
    series.take(("payments", "2", "sha256:b", "canary"), START + 119, traffic([50.0]))
    chart = chart_of(series.shown(START + 119), "payments", name)
    stable, canary = chart.lines
    assert len(chart.at_s) == RANGES[name][1] == len(stable.requests_per_s) == len(canary.latency_ms_p99)
    assert stable.requests_per_s[-1] == pytest.approx(3 / 60, rel=1e-3)
    assert stable.error_ratio[-1] == pytest.approx(1 / 3, rel=1e-3)
    assert stable.latency_ms_p99[-1] == pytest.approx(20, rel=0.03)
    assert (canary.version, canary.arm, canary.error_ratio[0]) == ("2", "canary", None)
    assert chart.at_s[-1] + chart.step_s == chart.until_s == (START + 120) * 60


def test_a_step_that_is_not_over_is_said_up_to_its_newest_closed_minute() -> None:
    chart = chart_of(filled(65).shown(START + 64), "payments", "7d")
    assert (chart.at_s[-1], chart.until_s) == ((START + 60) * 60, (START + 65) * 60)


def test_what_no_model_answered_is_in_no_line() -> None:
    series = filled(3)
    series.take(("", "", "", ""), START + 2, traffic([], failed=500))
    for model in ("", "payments"):
        (line,) = chart_of(series.shown(START + 2), model, "30m").lines
        assert (line.model, line.requests) == ("payments", 9)
    assert chart_of(filled(3, ("", "", "", "")).shown(START + 2), "", "30m").since_s is None


def test_of_all_models_requests_add_up_and_only_so_many_are_drawn() -> None:
    series = Series()
    for number in range(LINES_MAX + 2):
        for version in ("1", "2"):
            series.take((f"m{number}", version, version, "stable"), START, traffic([1.0 * (number + 1)]))
    series.take(("m0", "3", "3", "shadow"), START, traffic([99.0]))
    chart = chart_of(series.shown(START), "", "30m")
    assert (len(chart.lines), chart.left_out) == (LINES_MAX, 2)
    assert {one.requests for one in chart.lines} == {2}
    assert chart.lines[0].latency_ms_p99[-1] == pytest.approx(1, rel=0.03)
