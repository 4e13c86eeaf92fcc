"""A check never raises, and the whole is as bad as its worst line."""

from collections.abc import Iterator

from models.finding import Finding, Level, bad, line_of, looked, ok, warn, worst
from models.unread import unread

GOOD = ok("disk", "80 GiB free", "1 GiB")
ODD = warn("clock", "not synchronised", "NTP", "timedatectl set-ntp true")


def test_a_check_that_fails_half_way_keeps_what_it_said_and_says_why() -> None:
    def look() -> Iterator[Finding]:
        yield GOOD
        raise RuntimeError("the disk\nis gone")

    said, failed = looked("disk", look)
    assert said == GOOD
    assert failed.level is Level.BAD
    assert "RuntimeError" in failed.found
    assert "\n" not in line_of(failed)


def test_the_whole_is_as_bad_as_its_worst_line() -> None:
    assert worst([]) is worst([GOOD]) is Level.OK
    assert worst([GOOD, ODD]) is Level.WARN
    assert worst([bad("home", "missing", "there", "mkdir"), ODD, GOOD]) is Level.BAD


def test_a_line_says_what_was_found_what_was_expected_and_what_to_do() -> None:
    assert line_of(ODD).split("  ")[0] == "warn"
    assert line_of(ODD).endswith("not synchronised; expected NTP; do: timedatectl set-ntp true")
    assert "do:" not in line_of(GOOD)


def test_a_variable_that_nobody_reads_is_told_with_the_one_that_was_meant() -> None:
    (found,) = unread("environment", ["PLUMBLINE_PROT", "PLUMBLINE_HOME"], ["PLUMBLINE_PORT", "PLUMBLINE_HOME"])
    assert (found.level, found.found) == (Level.WARN, "nobody reads PLUMBLINE_PROT")
    assert "did you mean PLUMBLINE_PORT" in found.advice
    (found,) = unread("environment", ["PLUMBLINE_HOME"], ["PLUMBLINE_HOME"])
    assert found.level is Level.OK
