"""What alarms say about a system: pages, rates with intervals, delays."""

from math import isnan

import pytest

from loadtests.drift.score import Alarm, Ran, Told, only_wide, quiet, seen


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
