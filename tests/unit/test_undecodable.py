"""Bytes that are no such document are told as what they are, whatever reads them: never an error that nobody foresaw."""

import ast
import fcntl
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from models.baseline import Baseline
from models.contract import Contract
from models.errors import UNDECODABLE, ContractInvalid
from models.manifest import Manifest
from monitoring.dispatch.book import FOLDER as BOOK
from monitoring.dispatch.book import read_book
from monitoring.dispatch.hands_file import FILE as HANDS
from monitoring.dispatch.hands_file import HandsFile
from monitoring.errors import RolloutInvalid
from monitoring.rollout.people import words
from service.ejected import EjectedFile
from service.presence import WorkerSign, read_sign
from service.routes_audit import read_line
from service.wanted import WantedFile
from tests.processes import ROOT
from tests.trying import trials

DIGEST = "sha256:" + "a" * 64
BODIES = {
    "no UTF-8": b'{"at": "\xff", "by": "\xff", "why": "\xff", "digests": ["\xff"], "digest": "\xff", "name": "\xff"}',
    "too deep": b'{"other": ' + b"[" * 200_000,
    "cut": b'{"at": "2',
    "nothing": b"",
}


def placed(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def sign(home: Path, data: bytes) -> bool:
    with placed(home / "1.json", data).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        return read_sign(home / "1.json", WorkerSign) is None


def verdict(home: Path, data: bytes) -> bool:
    placed(home / f"{DIGEST.replace(':', '-')}.json", data)
    return trials(home).known(DIGEST) is None


def entry(home: Path, data: bytes) -> bool:
    body = data[:-1] + b"}" if data else b"}"
    with pytest.raises(ValueError, match="is no entry of this version"):
        read_line(body[:-1] + f',"hash":"{sha256(body).hexdigest()}"}}'.encode())
    return True


def said(home: Path, data: bytes) -> bool:
    placed(home / "rollouts" / "m.people.jsonl", data + b"\n" if data else b"{}\n")
    with pytest.raises(RolloutInvalid):
        words(home, "m")
    return True


def refused(decode: Callable[[bytes], object]) -> Callable[[Path, bytes], bool]:
    def read(home: Path, data: bytes) -> bool:
        with pytest.raises(ContractInvalid):
            decode(data)
        return True

    return read


READERS: dict[str, Callable[[Path, bytes], bool]] = {
    "a worker's sign": sign,
    "a verdict": verdict,
    "what is wanted": lambda home, data: not WantedFile(placed(home / "wanted.json", data)).read(),
    "who is ejected": lambda home, data: "cannot be read" in EjectedFile(placed(home / "ejected.json", data)).read()[1],
    "an entry of the audit log": entry,
    "what people said of a rollout": said,
    "what people said of alerts": lambda home, data: placed(home / HANDS, data + b"\n") and not HandsFile(home).words(),
    "how far an event is": lambda home, data: placed(home / BOOK / "evt_1.json", data) and not read_book(home),
    "a contract": refused(Contract.decode),
    "a baseline": refused(Baseline.decode),
    "a manifest": refused(Manifest.decode),
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("reader", READERS)
def test_who_reads_bytes_that_are_no_document_says_so_or_goes_on(reader: str, body: str, tmp_path: Path) -> None:
    assert READERS[reader](tmp_path, BODIES[body])


def test_nobody_catches_a_part_of_what_msgspec_raises() -> None:
    """`msgspec.ValidationError` alone is of values that were parsed by somebody else."""
    caught = {
        f"{path.relative_to(ROOT)}: {name}"
        for folder in ("service", "models", "monitoring")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and node.type is not None
        for name in map(ast.unparse, ast.walk(node.type))
        if name in ("msgspec.MsgspecError", "msgspec.DecodeError")
    }
    assert caught == {"service/http/v1.py: msgspec.DecodeError"}
    assert len(UNDECODABLE) == 3
