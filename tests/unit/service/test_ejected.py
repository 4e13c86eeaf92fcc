"""The list of the ejected on disk: whole or as before, and nobody is on it by mistake."""

from pathlib import Path

from service.ejected import Ejected, EjectedFile


def one(digest: str, why: str = "it crashed") -> Ejected:
    return Ejected(digest=digest, name="m", version="2", at="2026-11-21T22:00:00.000+00:00", why=why)


def test_who_is_out_stays_out_until_let_in_by_digest(tmp_path: Path) -> None:
    file = EjectedFile(tmp_path / "ejected.json")
    assert file.read() == ((), "")
    assert file.readmit(["a"]) == () and not file.path.exists()
    file.add(one("a"), one("b"))
    file.add(one("a", "again"))
    assert {digest: out.why for digest, out in file.by_digest().items()} == {"a": "again", "b": "it crashed"}
    assert file.readmit(["a", "c"]) == (one("a", "again"),)
    assert file.by_digest() == {"b": one("b")}


def test_a_list_that_cannot_be_read_is_told_and_holds_nobody(tmp_path: Path) -> None:
    file = EjectedFile(tmp_path / "ejected.json")
    for damage in (b"", b"[{", b'[{"digest":1}]', b"\xff"):
        file.path.write_bytes(damage)
        out, problem = file.read()
        assert out == () and problem.startswith("ejected.json: cannot be read: ")
    file.add(one("a"))
    assert file.read() == ((one("a"),), "")
