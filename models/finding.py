"""What did a check of `plumbline doctor` find, what was expected, and what is to be done?

Law: a check never raises. What it could not look at is a finding of its own.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

import msgspec

_CHECK_CHARS = 24  # most names of checks; a longer one only moves its own line


class Level(StrEnum):
    OK, WARN, BAD = "ok", "warn", "bad"


class Finding(msgspec.Struct, frozen=True):
    """One line; `advice` is a command or a sentence, empty where nothing is to be done."""

    check: str
    level: Level
    found: str
    expected: str
    advice: str = ""


def ok(check: str, found: str, expected: str) -> Finding:
    return Finding(check, Level.OK, found, expected)


def warn(check: str, found: str, expected: str, advice: str) -> Finding:
    """It serves, and somebody should know."""
    return Finding(check, Level.WARN, found, expected, advice)


def bad(check: str, found: str, expected: str, advice: str) -> Finding:
    """It does not serve, or not as the settings say."""
    return Finding(check, Level.BAD, found, expected, advice)


def looked(check: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What a check says, also where it fails half way."""
    found: list[Finding] = []
    try:
        found.extend(look())
    except Exception as error:  # the border of a check: whatever is wrong with this machine, the other checks are made
        said = f"the check failed: {type(error).__name__}: {error}"
        found.append(bad(check, said, "a check that ends", "mend what it names, then run plumbline doctor again"))
    return found


def worst(findings: Sequence[Finding]) -> Level:
    """The level of the whole."""
    levels = {finding.level for finding in findings}
    return Level.BAD if Level.BAD in levels else Level.WARN if Level.WARN in levels else Level.OK


def told(findings: Sequence[Finding], *, as_json: bool) -> str:
    """All of them, for programs or a line each for people."""
    return msgspec.json.encode(findings).decode() if as_json else "\n".join(map(line_of, findings))


def line_of(finding: Finding) -> str:
    """One line for a person."""
    one = f"{finding.level:<4}  {finding.check:<{_CHECK_CHARS}}  {finding.found}; expected {finding.expected}"
    do = f"; do: {finding.advice}" if finding.advice else ""
    return " ".join(f"{one}{do}".splitlines())
