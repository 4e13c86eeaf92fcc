from collections import Counter

import pytest

from service.featurelog.counters import behind, counters_of, counts_of, differences

PAGE = """
# HELP plumbline_log_records_total Request records in the feature log.
plumbline_log_records_total{outcome="answered"} 12.0
plumbline_log_records_total{outcome="shed"} 1.0
plumbline_log_dropped_total{outcome="answered",reason="no_space"} 3.0
plumbline_requests_received_total 16.0
"""
FOUND = counts_of({"answered": 12, "shed": 1}, {"answered": {"no_space": 3}, "shed": {}})


def test_what_the_page_and_the_log_say_has_one_form() -> None:
    assert counters_of(PAGE) == FOUND


def test_a_log_that_lies_between_the_counters_before_and_after_is_no_difference() -> None:
    after = counts_of({"answered": 20, "shed": 1}, {"answered": {"no_space": 3}})
    assert list(differences(counters_of(PAGE), FOUND, after)) == []
    grown = counts_of({"answered": 15, "shed": 1}, {"answered": {"no_space": 3}})
    assert list(differences(counters_of(PAGE), grown, after)) == []
    assert behind(grown, after) == 0


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (counts_of({"answered": 11, "shed": 1}, {"answered": {"no_space": 3}}), "logged answered 12, the log has 11"),
        (counts_of({"answered": 12}, {"answered": {"no_space": 3}}), "logged shed 1, the log has 0"),
        (counts_of({"answered": 12, "shed": 1}, {}), "dropped answered no_space 3, the log has 0"),
        (
            counts_of({"answered": 12, "shed": 1}, {"answered": {"no_space": 4}}),
            "the log has dropped answered no_space 4, the service counts 3",
        ),
    ],
)
def test_what_was_counted_and_is_not_there_is_a_difference(found: Counter[tuple[str, ...]], says: str) -> None:
    (line,) = differences(counters_of(PAGE), found, counters_of(PAGE))
    assert says in line


def test_what_a_killed_worker_had_not_published_is_told_and_no_loss() -> None:
    found = counts_of({"answered": 14, "shed": 1}, {"answered": {"no_space": 3}})
    assert list(differences(counters_of(PAGE), found, counters_of(PAGE))) == []
    assert behind(found, counters_of(PAGE)) == 2
