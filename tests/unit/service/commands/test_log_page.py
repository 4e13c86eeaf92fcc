"""Everything that docs/log.md shows is run, on a log of the demo model with labels, a shadow and an archive."""

import asyncio
import re
import shlex
import time
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from models.lock_file import LockFile
from models.pool import Pool
from models.registry import Registry
from monitoring.cli import monitor
from service.commands.log import log
from service.featurelog.record import Feedback, Outcome, Request, Shadow
from service.rows import Table
from service.seeding import seed
from service.served import ServedVersion
from service.settings import Settings
from tests.unit.service.featurelog.test_view import archive
from tests.unit.service.featurelog.writing import writer

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "log.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
PROGRAMS = [block for kind, block in BLOCKS if kind == "python"]
ROW = {
    "amount": 150.0,
    "merchant_category": "groceries",
    "country": "DE",
    "channel": "chip",
    "customer_age": None,
    "account_age_days": 900,
    "payments_last_24h": 2,
    "minutes_since_last": 310.0,
}
N = 4


async def _write(home: Path) -> None:
    """N answered requests of payments:1 a minute ago, each with a shadow's answer and a label."""
    settings = Settings(home=home)
    pins = LockFile(settings.lock_path).read()
    pool = Pool(Registry(settings.registry_root), threads=1)
    stable, shadow = (ServedVersion(pool.load(pin)) for pin in pins.versions("payments"))
    row = tuple(ROW[name] for name in stable.features)
    at_us = time.time_ns() // 1000 - 60_000_000
    async with writer(settings.log_root) as file:
        for number in range(N):
            answers = [
                version.outputs.block(version.session.run(version.tensors(Table([row]))), 1)
                for version in (stable, shadow)
            ]
            place, name, schema = at_us + number, f"r{number}", file.schema_id(stable.schema)
            asked = (name, Outcome.ANSWERED, 200, "", "v1", schema, "payments", "stable", number, 1, 1, 10, 20, 30)
            await file.append_request(Request(place, *asked, stable.blocks.block([row]), answers[0]))
            said = (name, file.schema_id(shadow.schema), Outcome.ANSWERED, "", 1, 20, answers[1])
            await file.append(Shadow(place, *said))
            await file.append(Feedback(place + 5, name, 0, number % 2, place + 5))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a home: half of its log is archived."""
    directory = tmp_path_factory.mktemp("page")
    home = directory / ".plumbline"
    assert seed(Settings(home=home)) == []
    asyncio.run(_write(home))
    assert archive(home) > 0
    asyncio.run(_write(home))
    (directory / "new.toml").write_text("hold_s = 300\n")
    return directory


def test_the_page_shows_commands_and_programs() -> None:
    assert len(COMMANDS) >= 12 and len(PROGRAMS) >= 4


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_does_what_it_says(place: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.chdir(place)
    program, group, *words = shlex.split(re.sub(r" > \S+$", "", command))
    assert program == "plumbline"
    result = CliRunner().invoke({"log": log, "monitor": monitor}[group], words)
    assert result.exit_code == 0, result.output
    if "--out" in words:
        assert len(pd.read_parquet(place / words[words.index("--out") + 1])) == 2 * N
    else:
        assert result.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_page_finds_the_rows(place: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.chdir(place)
    for module in re.findall(r"^(?:import|from) (\w+)", program, re.MULTILINE):
        pytest.importorskip(module)
    if "train.parquet" in program:
        CliRunner().invoke(log, shlex.split(next(line for line in COMMANDS if "label::int" in line))[2:])
    names: dict[str, object] = {}
    exec(program, names)
    assert len(names["frame"]) > 0  # type: ignore[arg-type]
