import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.durable import exclusively
from service.errors import RoutesInvalid
from service.routes_audit import Author, Via, breaks
from service.routes_document import ModelRoutes, Routes
from service.routes_errors import RoutesOutdated, RoutesUnreadable
from service.routes_file import Followed, RoutesFile
from tests.processes import ROOT, wait_until

pytestmark = pytest.mark.slow

RACERS, WINS = 4, 15
RACER = """
import sys, pathlib
from service.routes_errors import RoutesOutdated
from service.routes_document import ModelRoutes
from service.routes_file import RoutesFile
file, name, won = RoutesFile(pathlib.Path(sys.argv[1])), sys.argv[2], 0
while won < int(sys.argv[3]):
    present = file.read()
    mine = present.models.get(name)
    entry = ModelRoutes(stable=str(int(mine.stable) + 1 if mine else 1))
    try:
        file.swap(present.generation, present.with_model(name, entry))
        won += 1
    except RoutesOutdated:
        pass
"""


def test_no_change_of_several_processes_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "routes.toml"
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, str(path), f"m{number}", str(WINS)], cwd=ROOT)
        for number in range(RACERS)
    ]
    assert [racer.wait(60) for racer in racers] == [0] * RACERS
    routes = RoutesFile(path).read()
    assert routes.generation == RACERS * WINS
    assert {name: entry.stable for name, entry in routes.models.items()} == {f"m{n}": str(WINS) for n in range(RACERS)}
    assert sorted(found.name for found in tmp_path.iterdir()) == [
        "routes.audit.jsonl",
        "routes.toml",
        "routes.toml.lock",
    ]
    assert list(breaks(RoutesFile(path).audit.lines(), routes)) == []
    assert [chained.entry.generation for chained in RoutesFile(path).entries()] == list(range(1, RACERS * WINS + 1))


@pytest.mark.parametrize(("expected", "offered"), [(0, 1), (1, 3), (2, 3), (1, 1)])
def test_a_change_made_from_another_generation_is_refused_and_changes_nothing(
    tmp_path: Path, expected: int, offered: int
) -> None:
    file = RoutesFile(tmp_path / "routes.toml")
    file.swap(0, Routes().with_model("m", ModelRoutes(stable="1")))
    before = file.path.read_bytes()
    with pytest.raises(RoutesInvalid, match="generation: found 1"):
        file.swap(expected, Routes(offered, {}))
    assert file.path.read_bytes() == before
    file.swap(1, Routes(2, {}))


def test_an_absent_file_is_generation_zero(tmp_path: Path) -> None:
    assert RoutesFile(tmp_path / "routes.toml").read() == Routes()


def test_a_file_that_is_no_text_is_refused_as_one(tmp_path: Path) -> None:
    file = RoutesFile(tmp_path / "routes.toml")
    file.path.write_bytes(b"generation = 1 # \xff\xfe")
    with pytest.raises(RoutesInvalid, match="expected UTF-8 text"):
        file.read()


# --- the audit log ------------------------------------------------------------------------------------------------

ONE, TWO, NINE = (ModelRoutes(stable=version) for version in "129")
ADA = Author(Via.COMMAND, "ada", "release 42")


def written(path: Path) -> RoutesFile:
    """`m` at generation 2."""
    file = RoutesFile(path / "routes.toml")
    present = file.swap(0, Routes().with_model("m", ONE), ADA)
    file.swap(1, present.with_model("m", TWO), ADA)
    return file


def edit(file: RoutesFile, text: str, *, settled: bool = True) -> None:
    """As a person does, in another process."""
    file.path.write_text(text)
    if settled:
        os.utime(file.path, (0, 0))


def vias(file: RoutesFile) -> list[Via]:
    return [chained.entry.via for chained in file.entries()]


def test_every_change_is_in_the_log_with_who_why_before_and_after(tmp_path: Path) -> None:
    file = written(tmp_path)
    first, second = (chained.entry for chained in file.entries())
    assert (first.before, first.after) == ({"m": None}, {"m": ONE})
    assert (second.before, second.after) == ({"m": ONE}, {"m": TWO})
    assert (second.via, second.by, second.why, second.generation, second.n) == (Via.COMMAND, "ada", "release 42", 2, 1)
    assert file.read().entry == file.entries()[-1].hash
    assert list(breaks(file.audit.lines(), file.read())) == []


def test_a_refused_change_is_not_in_the_log(tmp_path: Path) -> None:
    file = written(tmp_path)
    before = file.audit.path.read_bytes()
    with pytest.raises(RoutesOutdated):
        file.swap(1, Routes(2, {"m": ONE}))
    assert file.audit.path.read_bytes() == before


@pytest.mark.parametrize("generation", [2, 3, 0])
def test_an_edit_by_hand_is_entered_and_given_a_generation_before_it_is_followed(
    tmp_path: Path, generation: int
) -> None:
    file = written(tmp_path)
    edit(file, f'generation = {generation}\n[models.m]\nstable = "9"\n')
    document, problem = file.follow(patient=True)
    assert document is not None and problem == ""
    assert (document.generation, document.models) == (3, {"m": NINE})
    assert file.read() == document
    entry = file.entries()[-1].entry
    assert (entry.via, entry.before, entry.after, entry.missing) == (Via.HAND, {"m": TWO}, {"m": NINE}, "")
    assert list(breaks(file.audit.lines(), document)) == []
    assert file.follow(patient=True) == Followed(document)
    assert len(file.entries()) == 3


def test_an_edit_that_goes_on_is_waited_for_and_not_by_a_worker_that_begins(tmp_path: Path) -> None:
    file = written(tmp_path)
    edit(file, "", settled=False)
    assert file.follow(patient=True).document is None
    edit(file, 'generation = 2\n[models.m]\nstable = "9"\n', settled=False)
    document = file.follow(patient=False).document
    assert document is not None and document.models == {"m": NINE}


def test_a_file_dated_in_the_future_is_no_edit_that_goes_on(tmp_path: Path) -> None:
    file = written(tmp_path)
    edit(file, 'generation = 2\n[models.m]\nstable = "9"\n')
    ahead_s = time.time() + 3600
    os.utime(file.path, (ahead_s, ahead_s))
    assert file.follow(patient=True).document is not None


def test_a_change_after_an_edit_by_hand_is_made_from_the_edit_or_not_at_all(tmp_path: Path) -> None:
    file = written(tmp_path)
    edit(file, 'generation = 2\n[models.m]\nstable = "9"\n')
    with pytest.raises(RoutesOutdated, match="found 3"):
        file.swap(2, Routes(3, {"m": ONE}))
    assert vias(file) == [Via.COMMAND, Via.COMMAND, Via.HAND]
    assert file.swap(3, Routes(4, {"m": ONE})).generation == 4


def test_a_document_written_before_there_was_a_log_is_its_first_entry(tmp_path: Path) -> None:
    file = RoutesFile(tmp_path / "routes.toml")
    edit(file, 'generation = 5\n[models.m]\nstable = "1"\n')
    document = file.follow(patient=True).document
    assert document is not None and (document.generation, document.models) == (5, {"m": ONE})
    (first,) = file.entries()
    assert (first.entry.via, first.entry.n, first.entry.before) == (Via.HAND, 0, {"m": None})


def test_a_document_that_was_deleted_is_entered_as_no_routes(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.path.unlink()
    document = file.follow(patient=True).document
    assert document is not None and (document.generation, document.models) == (3, {})
    assert vias(file)[-1] is Via.HAND


def test_an_entry_without_its_document_is_given_up_and_said_to_be(tmp_path: Path) -> None:
    file = written(tmp_path)
    aside = file.path.with_name(f"routes.toml.{os.getpid()}.new")
    aside.mkdir()  # the entry is fsynced, then the document cannot be written
    with pytest.raises(IsADirectoryError):
        file.swap(2, file.read().with_model("m", NINE), ADA)
    assert file.read().models == {"m": TWO}
    assert file.entries()[-1].entry.after == {"m": NINE}
    aside.rmdir()
    document = file.follow(patient=False).document
    assert document is not None and (document.generation, document.models) == (4, {"m": TWO})
    last = file.entries()[-1].entry
    assert (last.via, last.before, last.after) == (Via.GIVEN_UP, {"m": NINE}, {"m": TWO})
    assert list(breaks(file.audit.lines(), document)) == []


def test_a_torn_entry_is_taken_away_by_the_next_which_says_so(tmp_path: Path) -> None:
    file = written(tmp_path)
    with file.audit.path.open("ab") as raw:
        raw.write(b'{"n":2,"at":"20')
    assert file.follow(patient=True) == Followed(file.read())
    assert list(breaks(file.audit.lines(), file.read())) == []
    file.swap(2, file.read().with_model("m", NINE), ADA)
    assert file.entries()[-1].entry.torn_bytes == 15
    assert list(breaks(file.audit.lines(), file.read())) == []


def test_a_log_whose_end_was_cut_is_found_and_stays_found(tmp_path: Path) -> None:
    file = written(tmp_path)
    lost = file.entries()[-1].hash
    whole = file.audit.path.read_bytes()
    file.audit.path.write_bytes(whole[: whole.index(b"\n") + 1])
    assert list(breaks(file.audit.lines(), file.read()))
    document = file.follow(patient=False).document
    assert document is not None and document.models == {"m": TWO}
    assert file.entries()[-1].entry.missing == lost
    file.swap(document.generation, document.with_model("m", NINE), ADA)
    assert any("lines were missing" in one.problem for one in breaks(file.audit.lines(), file.read()))


def test_a_damaged_last_line_stands_in_the_way_of_no_change(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.audit.path.write_bytes(file.audit.path.read_bytes().replace(b'"generation":2', b'"generation":7'))
    document = file.follow(patient=False).document
    assert document is not None
    file.swap(document.generation, document.with_model("m", NINE), ADA)
    assert file.read().models == {"m": NINE}
    assert any("was changed" in one.problem for one in breaks(file.audit.lines(), file.read()))


def test_a_document_that_cannot_be_entered_is_followed_and_the_reason_is_told(tmp_path: Path) -> None:
    file = written(tmp_path)
    edit(file, 'generation = 2\n[models.m]\nstable = "9"\n')
    file.audit.path.rename(tmp_path / "elsewhere")
    file.audit.path.mkdir()
    with pytest.raises(IsADirectoryError):
        file.swap(2, Routes(3, {"m": ONE}))
    file.audit.path.rmdir()
    (tmp_path / "elsewhere").rename(file.audit.path)
    aside = file.path.with_name(f"routes.toml.{os.getpid()}.new")
    aside.mkdir()
    document, problem = file.follow(patient=True)
    assert document is not None and document.models == {"m": NINE}
    assert "cannot be written" in problem and "followed unentered" in problem


def test_a_lock_that_is_held_makes_who_follows_look_again(tmp_path: Path) -> None:
    file = written(tmp_path)
    edit(file, 'generation = 2\n[models.m]\nstable = "9"\n')
    with exclusively(file.path):
        assert file.follow(patient=True).document is None
        document = file.follow(patient=False).document
        assert document is not None and document.models == {"m": NINE}
    assert len(file.entries()) == 2


@pytest.mark.parametrize(
    "text", ["generation = ", "[models.m]\nstable = 5", '[models.m]\nstable = "1"\nkey = "cookie:a"']
)
def test_a_document_that_cannot_be_read_stands_in_the_way_of_no_change_and_is_kept(tmp_path: Path, text: str) -> None:
    file = written(tmp_path)
    edit(file, text)
    with pytest.raises(RoutesUnreadable):
        file.follow(patient=True)
    present = file.in_use()
    assert (present.generation, present.models) == (2, {"m": TWO})
    begun, problem = file.follow(patient=False)
    assert begun == present and "routes, " in problem
    file.swap(2, present.with_model("m", ONE), ADA)
    assert file.read().models == {"m": ONE}
    assert (tmp_path / "routes.toml.unreadable").read_text() == text
    assert vias(file) == [Via.COMMAND] * 3
    assert list(breaks(file.audit.lines(), file.read())) == []


def test_a_document_that_cannot_be_read_and_has_no_log_is_refused(tmp_path: Path) -> None:
    file = RoutesFile(tmp_path / "routes.toml")
    edit(file, "generation = ")
    with pytest.raises(RoutesUnreadable):
        file.swap(0, Routes(1, {"m": ONE}))
    assert file.path.read_text() == "generation = "


WRITER = """
import pathlib, sys
from service.routes_document import ModelRoutes
from service.routes_file import RoutesFile
file = RoutesFile(pathlib.Path(sys.argv[1]))
print("begun", flush=True)
while True:
    present = file.in_use()
    file.swap(present.generation, present.with_model("m", ModelRoutes(stable=str(present.generation))))
"""
KILLS = 8


def test_a_writer_that_is_killed_leaves_a_whole_log_and_a_document_that_an_entry_made(tmp_path: Path) -> None:
    file, dice = RoutesFile(tmp_path / "routes.toml"), random.Random(7)
    for kill in range(KILLS):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, file.path], cwd=ROOT, stdout=subprocess.PIPE)
        assert writer.stdout is not None and writer.stdout.readline() == b"begun\n"
        grown = file.read().generation
        wait_until(lambda g=grown: file.read().generation > g, 20, "a change")
        end_s = time.monotonic() + dice.random() / 20
        while time.monotonic() < end_s:
            file.read()
        writer.kill()
        writer.wait()
        writer.stdout.close()
        document = file.follow(patient=False).document
        assert document is not None, f"seed 7, kill {kill}"
        assert list(breaks(file.audit.lines(), document)) == [], f"seed 7, kill {kill}"
        assert file.entries()[-1].entry.document == document.digest
    assert set(vias(file)) <= {Via.START, Via.GIVEN_UP}
