import subprocess
import sys
from pathlib import Path

import pytest

from service.errors import RoutesInvalid
from service.routes_document import ModelRoutes, Routes
from service.routes_file import RoutesFile
from tests.processes import ROOT

RACERS, WINS = 4, 15
RACER = """
import sys, pathlib
from service.errors import RoutesInvalid
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
    except RoutesInvalid:
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
    assert sorted(found.name for found in tmp_path.iterdir()) == ["routes.toml", "routes.toml.lock"]


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
