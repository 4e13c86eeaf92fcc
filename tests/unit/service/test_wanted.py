from pathlib import Path

import msgspec

from service.wanted import WANTED_S, Wanted, WantedFile


def test_a_wish_is_read_until_it_is_old_and_said_again_only_when_it_is_another(tmp_path: Path) -> None:
    file = WantedFile(tmp_path / "wanted.json")
    assert file.read() == frozenset()
    file.say({"b", "a"})
    before = file.path.stat().st_ino
    file.say({"a", "b"})
    assert (file.read(), file.path.stat().st_ino) == ({"a", "b"}, before)
    file.say({"c"})
    assert file.read() == {"c"}
    said = msgspec.json.decode(file.path.read_bytes(), type=Wanted)
    for at_s in (said.at_s - WANTED_S - 1, said.at_s + 3600):  # long ago, or by another clock
        file.path.write_bytes(msgspec.json.encode(Wanted(("c",), at_s)))
        assert file.read() == frozenset()
    file.path.write_bytes(b"[")
    assert file.read() == frozenset()
