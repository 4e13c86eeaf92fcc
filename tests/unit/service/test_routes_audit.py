"""The chain of the audit log: a table of damages, each found."""

from collections.abc import Callable

import pytest

from service.routes_audit import (
    Author,
    ByHand,
    Chained,
    GivenUp,
    InStep,
    Via,
    breaks,
    entry_for,
    folded,
    line_of,
    read_line,
    standing,
)
from service.routes_document import CanaryEntry, ModelRoutes, Routes

AT = "2026-11-21T19:00:00.000+00:00"
ENTRIES = 6


def chain() -> tuple[list[bytes], Routes]:
    """Lines of a log, and the document in use after the last."""
    lines: list[bytes] = []
    newest: Chained | None = None
    document = Routes()
    for number in range(ENTRIES):
        after = document.with_model("m" if number % 2 else "other", ModelRoutes(stable=str(number)))
        entry = entry_for(newest, document.models, after, Author(Via.API, "ada"), AT)
        line, digest = line_of(entry)
        lines.append(line[:-1])
        newest, document = Chained(entry, digest), Routes(after.generation, after.models, digest)
    return lines, document


def test_a_line_is_read_as_it_was_written_and_the_document_follows_from_the_lines() -> None:
    lines, document = chain()
    entries = [read_line(line).entry for line in lines]
    assert [entry.n for entry in entries] == list(range(ENTRIES))
    assert folded(entries) == document.models
    assert entries[-1].document == document.digest
    assert list(breaks(lines, document)) == []
    assert list(breaks([], Routes())) == []


Damage = Callable[[list[bytes]], list[bytes]]
DAMAGES: dict[str, tuple[Damage, str]] = {
    "a changed letter": (lambda ls: [*ls[:2], ls[2].replace(b"ada", b"eve"), *ls[3:]], "line 3: was changed"),
    "a changed letter in the last": (lambda ls: [*ls[:-1], ls[-1].replace(b"ada", b"eve")], "line 6: was changed"),
    "a changed hash": (lambda ls: [*ls[:2], ls[2][:-3] + b"0" + ls[2][-2:], *ls[3:]], "line 3: was changed"),
    "a line missing": (lambda ls: [*ls[:2], *ls[3:]], "line 3: entry 3 does not follow the line before: lines are missing"),
    "two lines swapped": (lambda ls: [*ls[:2], ls[3], ls[2], *ls[4:]], "line 3: entry 3 does not follow"),
    "a line twice": (lambda ls: [*ls[:3], ls[2], *ls[3:]], "line 4: entry 2 does not follow"),
    "the beginning cut": (lambda ls: ls[2:], "line 1: entry 2 does not follow the line before: the beginning is missing"),
    "the end cut": (lambda ls: ls[:-1], "line 5: the routes in use name entry"),
    "all but one cut": (lambda ls: ls[:1], "line 1: the routes in use name entry"),
    "everything cut": (lambda ls: [], "line 0: the routes in use name entry"),
    "an empty line": (lambda ls: [*ls[:2], b"", *ls[2:]], "line 3: ends without its hash"),
    "half a line": (lambda ls: [*ls[:2], ls[2][: len(ls[2]) // 2], *ls[3:]], "line 3: ends without its hash"),
    "another log's line": (
        lambda ls: [*ls[:-1], line_of(entry_for(None, {}, Routes(1), Author(Via.API), AT))[0][:-1]],
        "line 6: entry 0 does not follow",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGES)
def test_every_damage_is_found_with_its_line(what: str) -> None:
    lines, document = chain()
    damage, told = DAMAGES[what]
    found = [f"line {one.line}: {one.problem}" for one in breaks(damage(lines), document)]
    assert any(one.startswith(told) for one in found), found


def test_a_changed_line_is_one_break_and_not_two() -> None:
    lines, document = chain()
    lines[2] = lines[2].replace(b"ada", b"eve")
    assert len(list(breaks(lines, document))) == 1


def test_every_byte_of_a_line_is_covered() -> None:
    lines, document = chain()
    line = lines[3]
    for place in range(len(line)):
        flipped = bytes([*line[:place], line[place] ^ 1, *line[place + 1 :]])
        assert list(breaks([*lines[:3], flipped, *lines[4:]], document)), f"byte {place}"


def newest_of(lines: list[bytes]) -> Chained:
    return read_line(lines[-1])


def test_a_document_is_in_step_by_hand_or_given_up() -> None:
    lines, document = chain()
    newest = newest_of(lines)
    before = read_line(lines[-2])
    edited = Routes(document.generation, {"m": ModelRoutes(stable="9")}, document.entry)
    old = Routes(document.generation - 1, {**document.models, "m": ModelRoutes(stable="3")}, before.hash)
    cut = Routes(document.generation, {"m": ModelRoutes(stable="9")}, "f" * 64)
    foreign = Routes(document.generation, {"m": ModelRoutes(stable="9")})
    known = [read_line(line).hash for line in lines]
    assert standing(Routes(), None, []) == InStep()
    assert standing(document, newest, []) == InStep()
    assert standing(edited, newest, []) == ByHand()
    assert standing(foreign, newest, []) == ByHand()
    assert standing(old, newest, known) == GivenUp()
    assert standing(cut, newest, known) == ByHand("f" * 64)
    assert standing(document, None, []) == ByHand(document.entry)


def test_an_older_document_that_was_put_back_is_an_edit_by_hand() -> None:
    lines, _ = chain()
    old = Routes(2, {"other": ModelRoutes(stable="0"), "m": ModelRoutes(stable="1")}, read_line(lines[1]).hash)
    assert standing(old, newest_of(lines), [read_line(line).hash for line in lines]) == ByHand()


def test_an_entry_names_what_it_changed_and_nothing_else() -> None:
    before = Routes(3, {"m": ModelRoutes(stable="1"), "gone": ModelRoutes(stable="1"), "same": ModelRoutes(stable="1")})
    canary = ModelRoutes(stable="1", canary=CanaryEntry("2", 5))
    after = Routes(4, {"m": canary, "same": ModelRoutes(stable="1"), "new": ModelRoutes(stable="1")})
    entry = entry_for(None, before.models, after, Author(Via.COMMAND, "ada", "why"), AT)
    assert entry.before == {"gone": ModelRoutes(stable="1"), "m": ModelRoutes(stable="1"), "new": None}
    assert entry.after == {"gone": None, "m": canary, "new": ModelRoutes(stable="1")}
    assert (entry.via, entry.by, entry.why, entry.generation) == (Via.COMMAND, "ada", "why", 4)
