"""The audit log on disk: what is appended lasts, what is torn does not count."""

from pathlib import Path

import pytest

from service.audit_file import TAIL_BYTES, AuditFile


@pytest.fixture
def file(tmp_path: Path) -> AuditFile:
    return AuditFile(tmp_path / "audit.jsonl")


def test_a_log_that_is_not_there_has_no_lines(file: AuditFile) -> None:
    assert (list(file.lines()), file.newest()) == ([], (None, 0))


def test_lines_are_read_in_the_order_in_which_they_were_appended(file: AuditFile) -> None:
    for number in range(5):
        file.append(b"line %d\n" % number)
        assert file.newest() == (b"line %d" % number, 0)
    assert list(file.lines()) == [b"line %d" % number for number in range(5)]


@pytest.mark.parametrize("torn", [b"x", b"half a line", b"y" * (TAIL_BYTES + 5)])
def test_what_is_torn_does_not_count_and_goes_with_the_next_append(file: AuditFile, torn: bytes) -> None:
    file.append(b"one\n")
    with file.path.open("ab") as raw:
        raw.write(torn)
    assert file.newest() == (b"one", len(torn))
    assert list(file.lines()) == [b"one"]
    file.append(b"two\n")
    assert file.path.read_bytes() == b"one\ntwo\n"


def test_a_log_of_nothing_but_a_torn_line_is_empty(file: AuditFile) -> None:
    file.path.write_bytes(b"half")
    assert file.newest() == (None, 4)
    file.append(b"one\n")
    assert file.path.read_bytes() == b"one\n"


@pytest.mark.parametrize("length", [TAIL_BYTES - 1, TAIL_BYTES, TAIL_BYTES + 1, 3 * TAIL_BYTES])
def test_a_line_of_any_length_is_found(file: AuditFile, length: int) -> None:
    file.append(b"first\n")
    file.append(b"z" * length + b"\n")
    assert file.newest() == (b"z" * length, 0)
    file.append(b"last\n")
    assert list(file.lines()) == [b"first", b"z" * length, b"last"]
