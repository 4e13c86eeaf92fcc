"""`plumbline keys` as a person and a script see it."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from models.key_file import FILE, KeyFile
from models.keys import Holder, Ring
from service.commands.keys import keys

DONE, WRONG, CANNOT = 0, 2, 3
Say = Callable[..., Result]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    def run(*words: object, code: int = DONE) -> Result:
        result = CliRunner().invoke(keys, [*map(str, words), "--home", str(tmp_path)])
        assert result.exit_code == code, result.output
        return result

    return run


def json_of(result: Result) -> Any:
    return msgspec.json.decode(result.stdout)


def test_a_key_is_printed_once_alone_on_stdout_and_opens(tmp_path: Path, say: Say) -> None:
    result = say("add", "rides-backend", "--scope", "predict:rides", "--scope", "read", "--rows-per-s", 1000)
    text = result.stdout.removesuffix("\n")
    found = Ring(KeyFile(tmp_path / FILE).read()).find(text.encode(), 0)
    assert isinstance(found, Holder)
    assert (found.name, found.scopes, found.rows_per_s) == ("rides-backend", "predict:rides, read", 1000)
    assert "not shown again" in result.stderr and text not in result.stderr
    assert "api_keys" in result.stderr  # loopback: nobody asks for it
    listed = say("list")
    assert text[13:] not in listed.output and text[4:12] in listed.output


def test_a_program_reads_the_same_from_json(say: Say) -> None:
    added = json_of(say("add", "a", "--scope", "read", "--expires", "90d", "--json"))
    created, expires = (datetime.fromisoformat(added[name]) for name in ("created", "expires"))
    assert (expires - created).days == 90
    (listed,) = json_of(say("list", "--json"))
    assert listed == {name: value for name, value in added.items() if name != "key"}
    rotated = json_of(say("rotate", added["id"], "--overlap", "12h", "--json"))
    assert rotated["replaces"]["id"] == added["id"] and rotated["key"] != added["key"]
    assert json_of(say("revoke", rotated["id"], "--json")) == {"id": rotated["id"], "revoked": True}
    assert [row["state"] for row in json_of(say("list", "--json"))] == ["live", "revoked"]


def test_an_overlap_of_nothing_ends_the_old_key_at_once(say: Say) -> None:
    added = json_of(say("add", "a", "--scope", "read", "--json"))
    say("rotate", added["id"], "--overlap", "0m")
    assert [row["state"] for row in json_of(say("list", "--json"))] == ["expired", "live"]


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        (("add", "a"), WRONG, "--scope"),
        (("add", "a", "--scope", "all"), CANNOT, "scope 'all'"),
        (("add", "a\nb", "--scope", "read"), CANNOT, "name"),
        (("add", "a", "--scope", "read", "--expires", "soon"), CANNOT, "--expires"),
        (("add", "a", "--scope", "read", "--expires", "2020-01-01"), CANNOT, "has passed"),
        (("add", "a", "--scope", "read", "--expires", "0d"), CANNOT, "has passed"),
        (("add", "a", "--scope", "read", "--expires", "99999w"), CANNOT, "--expires"),
        (("add", "a", "--scope", "read", "--rows-per-s", "0"), CANNOT, "rows_per_s"),
        (("add", "a", "--scope", "read", "--burst-rows", "5"), CANNOT, "burst_rows"),
        (("revoke", "00000000"), CANNOT, "keys list"),
        (("rotate", "00000000"), CANNOT, "keys list"),
        (("rotate", "00000000", "--overlap", "soon"), CANNOT, "--overlap"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence_and_makes_no_key(
    tmp_path: Path, say: Say, given: tuple[str, ...], code: int, told: str
) -> None:
    assert told in say(*given, code=code).output
    assert KeyFile(tmp_path / FILE).read().keys == ()


def test_a_service_that_others_reach_asks_for_the_key_and_the_command_says_nothing_of_it(
    tmp_path: Path, say: Say
) -> None:
    (tmp_path / "plumbline.toml").write_text('[service]\nhost = "0.0.0.0"\n')
    assert "api_keys" not in say("add", "a", "--scope", "read").output
