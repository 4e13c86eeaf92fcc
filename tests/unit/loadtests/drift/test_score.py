"""What alarms say about a system: pages, rates with intervals, delays."""

from math import isnan

import pytest

from loadtests.drift.score import Alarm, Ran, Told, only_wide, quiet, seen, speed


def ran(*alarms: Alarm, looks: int = 100, rows: int = 1000, streams: int = 2) -> Ran:
    return Ran(alarms, Told(looks, len(alarms), rows, streams, 1.0, 100.0))


def test_an_unbroken_row_of_alarms_is_one_page_and_its_looks_are_counted() -> None:
    found = quiet(ran(Alarm(0, 10, 1, "x"), Alarm(0, 20, 2, "x", new=False)), [15.0, 15.0], [500, 500])
    assert (found.days, found.pages, found.pages_a_month, found.alarmed_share) == (30.0, 1, 1.0, 0.02)
    assert found.low < 1 < found.high


def test_a_system_that_read_a_part_is_held_to_the_days_of_that_part() -> None:
    assert quiet(ran(rows=250, streams=1), [30.0, 30.0], [1000, 1000]).days == 7.5


def test_no_page_has_an_upper_bound() -> None:
    found = quiet(ran(), [15.0, 15.0], [500, 500])
    assert (found.pages_a_month, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(3.69, abs=0.01)


def test_a_delay_counts_from_the_first_changed_row_and_an_alarm_before_it_is_early() -> None:
    found = seen(
        ran(Alarm(0, 90, 9, "x"), Alarm(0, 130, 13, "x"), Alarm(1, 400, 40, "x")), [(0, 100, 10), (1, 100, 10)]
    )
    assert (found.trials, found.detected, found.early) == (2, 2, 0.5)
    assert (found.rows, found.minutes) == (165, 16.5)


def test_trials_that_were_not_read_are_not_counted_and_what_was_not_seen_has_no_delay() -> None:
    found = seen(ran(streams=1), [(0, 100, 10), (1, 100, 10)])
    assert (found.trials, found.detected, found.share_low) == (1, 0, 0.0)
    assert isnan(found.rows)


def test_of_the_wide_reading_only_wide_alarms_are_left() -> None:
    narrowed = only_wide(ran(Alarm(0, 1, 1, "x"), Alarm(0, 2, 2, "x", wide=True)))
    assert [alarm.row for alarm in narrowed.alarms] == [2]
    assert narrowed.told.alarmed == 1


def test_a_wide_alarm_after_a_look_that_was_not_wide_is_a_page_whatever_else_was_alarming() -> None:
    narrowed = only_wide(
        ran(
            Alarm(0, 10, 1, "x", look=1),
            Alarm(0, 20, 2, "x,y", new=False, wide=True, look=2),
            Alarm(0, 30, 3, "x,y", new=False, wide=True, look=3),
            Alarm(0, 40, 4, "x", new=False, look=4),
            Alarm(0, 50, 5, "x,y", new=False, wide=True, look=5),
            Alarm(1, 60, 6, "x,y", wide=True, look=6),
        )
    )
    assert [(alarm.look, alarm.new) for alarm in narrowed.alarms] == [(2, True), (3, False), (5, True), (6, True)]
    assert quiet(narrowed, [15.0, 15.0], [500, 500]).pages == 3


@pytest.mark.parametrize(("rows", "high"), [([7], 7), ([5, 9], 9), ([*range(1, 21)], 19), ([*range(1, 22)], 20)])
def test_the_late_delay_is_the_nearest_rank_and_never_below_the_median(rows: list[int], high: int) -> None:
    found = seen(
        ran(*(Alarm(i, row, 1, "x") for i, row in enumerate(rows)), streams=len(rows)),
        [(i, 0, 0) for i in range(len(rows))],
    )
    assert found.rows_high == high >= found.rows


def test_speed_says_what_a_look_costs() -> None:
    assert speed(Told(500, 0, 1000, 1, 2.0, 100.0)).cpu_ms_a_look == 4.0
    assert speed(Told(0, 0, 1000, 1, 2.0, 100.0)).rows_per_s == 500.0
