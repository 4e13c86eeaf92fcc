"""The subcommands as a person and a program see them: words, JSON and exit codes."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from models.lock_file import LockFile
from models.registry import Registry
from service.commands.doctor import doctor
from service.commands.log import log
from service.commands.models import models
from service.commands.routes import routes
from service.featurelog.segments import Rotation
from service.presence import Presence, WorkerSign
from service.routes_file import RoutesFile
from tests.onnx_models import echo, install, mixed, mixed_contract
from tests.unit.service.featurelog.test_ledger import flip_the_middle
from tests.unit.service.featurelog.writing import request, write
from tests.unit.service.serving import ROW, furnish, route, serving

pytestmark = pytest.mark.slow

DONE, FAULT, WRONG, CANNOT = 0, 1, 2, 3
Say = Callable[..., Result]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """Runs a group with words, on the home of the test."""

    def run(group: Any, *words: object, code: int = DONE) -> Result:
        result = CliRunner().invoke(group, [*map(str, words), "--home", str(tmp_path)])
        assert result.exit_code == code, result.output
        return result

    return run


def json_of(result: Result) -> Any:
    return msgspec.json.decode(result.stdout)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(echo({"age": ("FP32", ["N", 1])}))
    return path


# --- models -------------------------------------------------------------------------------------------------------


def test_a_model_that_is_added_is_registered_pinned_and_routed_and_the_next_is_the_next_version(
    tmp_path: Path, say: Say, graph: Path
) -> None:
    first = json_of(say(models, "add", graph, "--name", "ages", "--json"))
    assert (first["version"], first["pinned"], first["stable"], first["features"]) == ("1", True, True, ["age"])
    graph.write_bytes(echo({"years": ("FP32", ["N", 1])}))
    second = json_of(say(models, "add", graph, "--name", "ages", "--json"))
    assert (second["version"], second["stable"]) == ("2", False)
    assert [pin.ref for pin in LockFile(tmp_path / "models.lock.toml").read().pins] == ["ages:1", "ages:2"]
    assert RoutesFile(tmp_path / "routes.toml").read().models["ages"].stable == "1"
    listed = json_of(say(models, "list", "--json"))
    assert [(row["version"], row["role"], row["here"]) for row in listed] == [("1", "stable", True), ("2", "-", True)]


def test_a_model_may_be_registered_only_and_pinned_later(tmp_path: Path, say: Say, graph: Path) -> None:
    added = json_of(say(models, "add", graph, "--name", "ages", "--no-pin", "--json"))
    assert LockFile(tmp_path / "models.lock.toml").read().pins == ()
    pinned = json_of(say(models, "pin", "ages", "7", added["digest"], "--json"))
    assert (pinned["version"], pinned["stable"]) == ("7", True)
    assert json_of(say(models, "show", "ages", "--json"))["contract"]["features"][0]["name"] == "age"
    assert "age" in say(models, "show", "ages", "7").output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("add", "nothing.onnx", "--name", "m"), "not found at nothing.onnx, expected an ONNX graph"),
        (("add", "GRAPH", "--name", "Bad Name"), "lower-case letters"),
        (("add", "GRAPH", "--name", "m", "--version", "../1"), "lower-case letters"),
        (("add", "GRAPH", "--name", "m", "--data", "nothing.csv"), "nothing.csv"),
        (("pin", "m", "1", "sha256:" + "0" * 64), "run `plumbline models sync`"),
        (("pin", "m", "1", "junk"), "digest"),
        (("show", "m"), "not found"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_exit_code_3(
    say: Say, graph: Path, words: tuple[str, ...], told: str
) -> None:
    given = [str(graph) if word == "GRAPH" else word for word in words]
    result = say(models, *given, code=CANNOT)
    assert told in result.stderr
    assert result.stderr.startswith("plumbline: ") and "Traceback" not in result.output


def test_what_is_used_wrongly_is_exit_code_2(say: Say) -> None:
    say(models, "add", code=WRONG)
    say(models, "nothing", code=WRONG)


def test_verify_finds_a_changed_byte_and_sync_mends_it(tmp_path: Path, say: Say) -> None:
    pin = install(tmp_path, "mixed", "1", mixed(), mixed_contract())
    say(models, "verify")
    path = Registry(tmp_path / "registry").place(pin.digest) / "model.onnx"
    whole = path.read_bytes()
    path.write_bytes(b"other")
    (row,) = json_of(say(models, "verify", "--json", code=FAULT))
    assert not row["ok"] and "lock pins" in row["found"]
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.onnx").write_bytes(whole)
    (source / "contract.json").write_bytes(mixed_contract().encode())
    text = (tmp_path / "models.lock.toml").read_text()
    (tmp_path / "models.lock.toml").write_text(text.replace(pin.source, "file:source"))
    assert json_of(say(models, "sync", "--json")) == [{"version": "mixed:1", "fetched": True}]
    say(models, "verify")


# --- routes -------------------------------------------------------------------------------------------------------


def test_a_canary_is_set_raised_promoted_and_taken_out(tmp_path: Path, say: Say) -> None:
    furnish(tmp_path)
    file = RoutesFile(tmp_path / "routes.toml")
    say(routes, "set", "mixed", "--canary", 2, "--percent", 5, "--key", "header:x-customer")
    entry = file.read().models["mixed"]
    assert entry.canary is not None and (entry.canary.version, entry.canary.percent) == ("2", 5)
    assert json_of(say(routes, "show", "--json"))["generation"] == 3
    say(routes, "set", "mixed", "--percent", 50)
    say(routes, "promote", "mixed")
    entry = file.read().models["mixed"]
    assert (entry.stable, entry.canary, entry.key) == ("2", None, "header:x-customer")
    say(routes, "set", "mixed", "--canary", 1, "--percent", 5)
    assert "generation 7" in say(routes, "rollback", "mixed").output
    assert file.read().models["mixed"].canary is None


def test_shadows_are_set_with_their_sample_and_taken_out(tmp_path: Path, say: Say) -> None:
    furnish(tmp_path)
    say(routes, "set", "mixed", "--shadow", "2=12.5")
    (shadow,) = RoutesFile(tmp_path / "routes.toml").read().models["mixed"].shadows
    assert (shadow.version, shadow.sample) == ("2", 12.5)
    say(routes, "set", "mixed", "--no-shadows")
    assert RoutesFile(tmp_path / "routes.toml").read().models["mixed"].shadows == ()


@pytest.mark.parametrize(
    "words",
    [
        ("set", "mixed", "--stable", "9"),
        ("set", "mixed", "--canary", "1", "--percent", "5"),
        ("set", "mixed", "--percent", "5"),
        ("set", "mixed", "--key", "cookie:x"),
        ("set", "new"),
        ("set", "mixed", "--stable", "2", "--generation", "1"),
        ("set", "mixed", "--shadow", "2=101"),
        ("promote", "mixed"),
        ("rollback", "nothing"),
    ],
)
def test_a_change_that_is_wrong_changes_nothing(tmp_path: Path, say: Say, words: tuple[str, ...]) -> None:
    furnish(tmp_path)
    before = (tmp_path / "routes.toml").read_bytes()
    result = say(routes, *words, code=CANNOT)
    assert result.stderr.startswith("plumbline: ")
    assert (tmp_path / "routes.toml").read_bytes() == before


def test_a_canary_is_given_a_share_and_aborted_and_a_promotion_is_rolled_back(tmp_path: Path, say: Say) -> None:
    furnish(tmp_path)
    file = RoutesFile(tmp_path / "routes.toml")
    told = say(routes, "canary", "mixed", 2, 5).output
    assert "5 % of the keys of mixed move from 1 to 2" in told and "generation 3" in told
    say(routes, "abort", "mixed")
    assert file.read().models["mixed"].canary is None
    say(routes, "canary", "mixed", 2, 5)
    say(routes, "promote", "mixed", "--why", "a week without a fault", "--by", "ada")
    say(routes, "rollback", "mixed")
    assert file.read().models["mixed"].stable == "1"
    say(routes, "rollback", "mixed", code=CANNOT)
    say(routes, "rollback", "mixed", "--to", 2)
    assert file.read().models["mixed"].stable == "2"


def test_a_dry_run_says_what_would_change_and_changes_nothing(tmp_path: Path, say: Say) -> None:
    furnish(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("routes*")}
    plan = json_of(say(routes, "set", "mixed", "--stable", 2, "--dry-run", "--json"))
    assert (plan["made"], plan["generation"]) == (False, 3)
    assert [(move["from"], move["to"], move["percent"]) for move in plan["moves"]] == [("1", "2", 100)]
    assert "if it were done" in say(routes, "set", "mixed", "--stable", 2, "--dry-run").output
    assert {path.name: path.read_bytes() for path in tmp_path.glob("routes*")} == before


def test_a_worker_that_has_not_loaded_a_version_is_named_and_a_rollback_does_not_wait_for_it(
    tmp_path: Path, say: Say
) -> None:
    furnish(tmp_path)
    worker = Presence(tmp_path / "workers" / "11.json")
    worker.say(WorkerSign(11, 11, 2, {}, {}))
    result = say(routes, "canary", "mixed", 2, 5, "--wait", 0, code=CANNOT)
    assert "worker 11 has not loaded mixed:2; the routes stay as they were" in result.stderr
    worker.close()
    say(routes, "canary", "mixed", 2, 5)
    worker = Presence(tmp_path / "workers" / "11.json")
    worker.say(WorkerSign(11, 11, 3, {}, {}))
    assert "applied by 0 of 1 workers; not yet: worker 11" in say(routes, "rollback", "mixed").output
    worker.close()


def test_the_history_says_who_changed_what_and_why(tmp_path: Path, say: Say) -> None:
    furnish(tmp_path)
    say(routes, "canary", "mixed", 2, 5, "--by", "ada", "--why", "release 42")
    (entry,) = json_of(say(routes, "history", "mixed", "--last", 1, "--json"))
    assert (entry["via"], entry["by"], entry["why"], entry["generation"]) == ("command", "ada", "release 42", 3)
    assert entry["asked"] == {"do": "canary", "percent": 5.0, "version": "2"}
    told = say(routes, "history").output
    assert "mixed canary - -> 2 at 5 %" in told and "release 42" in told
    assert len(json_of(say(routes, "history", "--json"))) == 3


def test_verify_finds_a_changed_and_a_cut_log_and_forgives_what_is_torn(tmp_path: Path, say: Say) -> None:
    furnish(tmp_path)
    audit = tmp_path / "routes.audit.jsonl"
    whole = audit.read_bytes()
    found = json_of(say(routes, "verify", "--json"))
    assert (found["entries"], found["ok"], found["entered"]) == (2, True, True)
    audit.write_bytes(whole + b'{"n":')
    assert "5 bytes of an entry that was not completed" in say(routes, "verify").output
    audit.write_bytes(whole.replace(b'"generation":1', b'"generation":4'))
    assert "line 1: was changed" in say(routes, "verify", code=FAULT).output
    audit.write_bytes(whole[: whole.index(b"\n") + 1])
    assert "its end is missing" in say(routes, "verify", code=FAULT).output
    audit.write_bytes(whole)
    path = tmp_path / "routes.toml"
    path.write_text(path.read_text().replace('stable = "1"', 'stable = "2"', 1))
    assert "were changed by hand" in say(routes, "verify").output


def test_a_share_that_is_no_number_is_a_wrong_use(tmp_path: Path, say: Say) -> None:
    furnish(tmp_path)
    assert "expected VERSION or VERSION=PERCENT" in say(routes, "set", "mixed", "--shadow", "2=many", code=WRONG).output


# --- log ----------------------------------------------------------------------------------------------------------


def test_a_log_is_verified_exported_and_tailed(tmp_path: Path, say: Say) -> None:
    async def serve() -> None:
        async with serving(tmp_path) as service:
            for _ in range(3):
                await service.predict(ROW)
            await service.predict("bad")
            await service.predict([[1, 2], [3, 4]], model="image")

    asyncio.run(serve())
    found = json_of(say(log, "verify", "--json"))
    assert (found["answered"], found["logged"], found["log_dropped"], found["ok"]) == (4, 4, {}, True)
    assert (found["gaps"], found["corrupt"]) == ([], [])
    assert "the log is whole" in say(log, "verify").output
    exported = [msgspec.json.decode(line) for line in say(log, "export", "--format", "jsonl").stdout.splitlines()]
    assert [one["type"] for one in exported] == ["request"] * 5 + ["ledger"]
    assert exported[0]["features"] == [ROW]
    assert exported[0]["outputs"] == [{"score": 7.0, "place": "oslo", "flagged": True}]
    tailed = [msgspec.json.decode(line) for line in say(log, "tail", "-n", 2, "--model", "mixed").stdout.splitlines()]
    assert [one["code"] for one in tailed] == ["", "invalid_input"]


def test_a_damaged_log_is_a_fault_that_is_named(tmp_path: Path, say: Say) -> None:
    write(tmp_path / "log", [request(number) for number in range(20)])
    write(tmp_path / "log", [request(number) for number in range(20)], rotation=Rotation(400, 1e9))
    flip_the_middle(tmp_path / "log")
    found = json_of(say(log, "verify", "--json", code=FAULT))
    assert found["corrupt"] and not found["ok"]
    assert "the log is NOT whole" in say(log, "verify", code=FAULT).output


# --- doctor and settings ------------------------------------------------------------------------------------------


def test_the_doctor_names_a_model_that_is_not_as_pinned(tmp_path: Path) -> None:
    pin = install(tmp_path, "mixed", "1", mixed(), mixed_contract())
    route(tmp_path, "mixed", stable="1")
    (Registry(tmp_path / "registry").place(pin.digest) / "model.onnx").write_bytes(b"other")
    result = CliRunner().invoke(doctor, ["--home", str(tmp_path), "--json"])
    rows = {row["check"]: row for row in msgspec.json.decode(result.stdout)}
    assert result.exit_code == FAULT
    assert rows["model mixed:1"]["level"] == "bad"
    assert rows["model mixed:1"]["advice"] == "plumbline models sync"
    assert rows["python"]["level"] == rows["home"]["level"] == rows["checkpoint"]["level"] == "ok"


@pytest.mark.parametrize("text", ["[service]\nprot = 1\n", "[service\n", "[service]\nport = 99999\n"])
def test_a_settings_file_that_is_wrong_is_one_sentence(tmp_path: Path, say: Say, text: str) -> None:
    (tmp_path / "plumbline.toml").write_text(text)
    result = say(routes, "show", code=CANNOT)
    assert result.stderr.startswith("plumbline: ") and "Traceback" not in result.output
