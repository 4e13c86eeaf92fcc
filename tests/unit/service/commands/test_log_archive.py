import errno
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.commands.log import log
from service.commands.log_archive import reason_of
from service.featurelog.archive_files import ArchiveFiles
from service.featurelog.errors import ManifestInvalid, PassRunning, RecordInvalid
from tests.unit.service.featurelog.archiving import DAY_US, START_US, asked, manifest_of, write_log
from tests.unit.service.featurelog.writing import write


def archive(home: Path, *arguments: str, **settings: str) -> Result:
    environment = {f"PLUMBLINE_{name.upper()}": value for name, value in settings.items()}
    return CliRunner().invoke(log, ["archive", "--home", str(home), *arguments], env=environment)


def test_a_pass_says_what_it_did_to_a_person_and_to_a_program(tmp_path: Path) -> None:
    rows = write_log(tmp_path / "log", epochs=1)
    first = archive(tmp_path)
    assert first.exit_code == 0
    assert f"as {rows} rows in" in first.stdout
    said = json.loads(archive(tmp_path, "--json").stdout)
    assert (said["segments"], said["damaged"]) == (0, [])


def test_segments_go_only_where_it_is_said_who_has_read_them(tmp_path: Path) -> None:
    write_log(tmp_path / "log", epochs=1)
    assert json.loads(archive(tmp_path, "--json", log_raw_bytes_max="1").stdout)["let_go_segments"] == 0
    some = archive(tmp_path, "--json", "--keep-from", '{"w0": [1, 2, 0]}', log_raw_bytes_max="1")
    assert json.loads(some.stdout)["let_go_segments"] == 2
    all_but_one = archive(tmp_path, "--json", "--keep-from", "archived", log_raw_bytes_max="1")
    assert json.loads(all_but_one.stdout)["let_go_segments"] > 2


@pytest.mark.parametrize("given", ["w0", '{"w0": 1}', '{"w0": [1, 2]}', "[]"])
def test_positions_that_are_none_are_named_with_what_was_expected(tmp_path: Path, given: str) -> None:
    found = archive(tmp_path, "--keep-from", given)
    assert found.exit_code == 2
    assert "--keep-from" in found.stderr and '{"w0": [epoch, number, offset]}' in found.stderr


def test_a_pass_that_cannot_be_made_ends_with_3_and_a_word(tmp_path: Path) -> None:
    with ArchiveFiles(tmp_path / "archive").locked():
        found = archive(tmp_path, "--json")
    assert found.exit_code == 3
    assert json.loads(found.stdout)["failed"] == "busy"
    assert "another pass is at work" in found.stderr
    assert json.loads(archive(tmp_path, "--json", log_raw_keep_h="-1").stdout)["failed"] == "settings_invalid"


def test_a_damaged_file_of_the_archive_ends_with_1_and_its_name(tmp_path: Path) -> None:
    for number, day in enumerate((0, 0, 1)):
        write(tmp_path / "log", [asked(number, -1, at_us=START_US + day * DAY_US)])
        if number == 0:
            archive(tmp_path)
            (file,) = manifest_of(tmp_path).files
            (tmp_path / "archive" / file.path).write_bytes(b"")
    found = archive(tmp_path)
    assert found.exit_code == 1
    assert file.path in found.stdout


def test_every_failure_has_one_of_few_words() -> None:
    assert reason_of(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) == "no_space"
    assert reason_of(OSError(errno.EMFILE, "x")) == "os_error"
    assert reason_of(PassRunning("x")) == "busy"
    assert reason_of(ManifestInvalid("x", "y", "z")) == "manifest_invalid"
    assert reason_of(RecordInvalid("x")) == "log_error"
