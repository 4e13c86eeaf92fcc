"""`plumbline log verify` holds the archive too: to a person, to a program, by its exit code."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from service.commands.log import log
from tests.unit.service.featurelog.archiving import archive, manifest_of, write_log


def verify(home: Path, *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(log, ["verify", "--home", str(home), *words])
    assert result.exit_code == code, result.output
    return result


def test_a_file_of_the_archive_that_is_gone_makes_the_exit_code_1(tmp_path: Path) -> None:
    rows = write_log(tmp_path / "log", epochs=1)
    assert "manifest" not in verify(tmp_path).stdout
    archive(tmp_path)
    (path, *others) = [tmp_path / "archive" / file.path for file in manifest_of(tmp_path).files]
    left = path.with_name(f"{path.name}.new")
    left.write_bytes(b"")
    said = verify(tmp_path, "--deep").stdout
    assert f"names {len(others) + 1} files, {rows} rows" in said
    assert f"cut short: 1\n  {left}\n" in said
    assert "the log is whole" in said
    told = json.loads(verify(tmp_path, "--json").stdout)
    assert (told["ok"], told["archive"]) == (
        True,
        {"files": len(others) + 1, "rows": rows, "faults": [], "unnamed": [str(left)]},
    )
    path.unlink()
    said = verify(tmp_path, code=1).stdout
    assert f"{path}: no file" in said
    assert "the log is NOT whole" in said
    told = json.loads(verify(tmp_path, "--json", code=1).stdout)
    assert not told["ok"]
    assert len(told["archive"]["faults"]) == 1
