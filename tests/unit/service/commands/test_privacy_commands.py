"""Privacy and erasure as a person and a program see them, against a service that runs."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from models.contract import Privacy
from models.lock_file import LockFile
from models.registry import Registry
from service.commands.log import log
from service.commands.models import models
from tests.onnx_models import echo
from tests.unit.service.serving import Service, serving, until
from tests.unit.service.test_privacy import MAIL, PERSON, found_in, home

pytestmark = pytest.mark.slow

__all__ = ["home"]  # the fixture
DONE, FAULT, WRONG, CANNOT = 0, 1, 2, 3
OTHER = {**PERSON, "mail": "trillian@earth.example"}


def say(place: Path, group: Any, *words: object, code: int = DONE) -> Result:
    result = CliRunner().invoke(group, [*map(str, words), "--home", str(place)])
    assert result.exit_code == code, result.output
    return result


def erased(place: Path, where: str, *words: object, code: int = DONE) -> Any:
    return msgspec.json.decode(say(place, log, "erase", "--where", where, "--json", *words, code=code).stdout)


def test_a_person_is_erased_by_the_raw_id_while_the_service_runs(home: Path) -> None:
    async def test() -> tuple[Service, Any]:
        async with serving(home, log_fsync_interval_s=0.02) as service:
            reply = await service.predict(PERSON, OTHER, model="loans")
            body = [{"request_id": reply.headers["x-request-id"], "row": row, "label": "good"} for row in (0, 1)]
            assert (await service.ask("POST", "/v1/models/loans:feedback", body)).status == 202
            await service.predict(OTHER, model="loans")
            await until(lambda: len(service.records()) >= 6, "two requests, two shadows, two labels")
            report = await asyncio.to_thread(erased, home, f"mail = '{MAIL}'")
            assert (await service.predict(OTHER, model="loans")).status == 200
        return service, report

    service, report = asyncio.run(test())
    counts = {"requests": 1, "rows": 1, "followers": 2, "archived_rows": 0, "archived_followers": 0}
    assert (report["counts"], report["missed"], report["remains"]) == (counts, [], [])
    assert found_in(home) == []
    assert [type(record).__name__ for record in service.requests()] == ["PartRequest", "Request", "Request"]
    assert msgspec.json.decode(say(home, log, "verify", "--json").stdout)["ok"]
    assert erased(home, f"mail = '{MAIL}'")["receipt"] is None
    tail = [msgspec.json.decode(line) for line in say(home, log, "tail", "-n", 100).stdout.splitlines()]
    assert [len(line["features"]) for line in tail if line["type"] == "request"] == [1, 1, 1]


def test_an_erasure_leaves_word_for_the_monitor_and_a_dry_run_none(home: Path) -> None:
    (home / "monitor").mkdir(exist_ok=True)
    erased(home, f"mail = '{MAIL}'", "--dry-run")
    assert not (home / "monitor" / "erased").exists()
    erased(home, f"mail = '{MAIL}'")
    assert (home / "monitor" / "erased").exists()


def test_a_dry_run_says_what_would_go(home: Path) -> None:
    async def test() -> None:
        async with serving(home) as service:
            await service.predict(PERSON, model="loans")

    asyncio.run(test())
    files = {path: path.read_bytes() for path in (home / "log").rglob("*") if path.is_file()}
    assert erased(home, f"mail = '{MAIL}'", "--dry-run")["counts"]["rows"] == 1
    assert "would erase 1 requests" in say(home, log, "erase", "--where", "adult = true", "--dry-run").output
    assert {path: path.read_bytes() for path in (home / "log").rglob("*") if path.is_file()} == files


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("mail =", "the end at character 7"),
        ("name = 'x'", "dropped features are not"),
        ("mail > 'a'", "mail is hashed"),
        ("income = 'much'", "expected a number"),
    ],
)
def test_a_clause_that_cannot_be_answered_changes_nothing(home: Path, where: str, said: str) -> None:
    async def test() -> None:
        async with serving(home) as service:
            await service.predict(PERSON, model="loans")

    asyncio.run(test())
    result = say(home, log, "erase", "--where", where, code=WRONG)
    assert said in result.output
    assert "nothing was changed" in result.output


def test_what_could_not_be_reached_is_told_with_exit_code_3(home: Path) -> None:
    async def test() -> Any:
        async with serving(home, log_fsync_interval_s=1) as service:
            await service.predict(PERSON, model="loans")
            return await asyncio.to_thread(erased, home, "adult = true", "--wait-s", "0.01", code=CANNOT)

    (missed,) = asyncio.run(test())["missed"]
    assert missed.startswith("log/w0/")


def test_a_value_that_still_stands_somewhere_is_told_with_exit_code_1(home: Path) -> None:
    (home / "notes.txt").write_text("ask oslo-the-person")
    assert erased(home, "town = 'oslo-the-person'", code=FAULT)["remains"] == ["notes.txt"]


def test_what_is_private_is_said_when_a_model_is_added_and_shown(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(echo({"age": ("FP32", ["N", 1]), "city": ("BYTES", ["N", 1])}))
    (tmp_path / "train.csv").write_text("age,city\n1.5,oslo\n2.5,rome\n3.5,oslo\n")
    add = ("add", tmp_path / "model.onnx", "--name", "ages", "--data", tmp_path / "train.csv")
    say(tmp_path, models, *add, "--privacy", "age=bucket", "--privacy", "city=hash")
    pin = LockFile(tmp_path / "models.lock.toml").read().find("ages", "1")
    assert pin is not None
    features = Registry(tmp_path / "registry").contract(pin).features
    assert [column.privacy for column in features] == [Privacy.BUCKET, Privacy.HASH]
    shown = say(tmp_path, models, "show", "ages").output
    assert "bucket" in shown
    assert "hash" in shown
    assert "expected FEATURE=WORD" in say(tmp_path, models, *add, "--privacy", "age=hide", code=WRONG).output
    assert "no feature 'agee'" in say(tmp_path, models, *add, "--privacy", "agee=drop", code=CANNOT).output
