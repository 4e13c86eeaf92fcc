"""Keys on disk, and the keys in force of a process that follows them."""

import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from models.key_errors import KeysInvalid, KeyUnknown
from models.key_file import FILE, FILE_BYTES_MAX, KeyFile, fresh
from models.keyring import Keyring
from models.keys import Holder, Refused, Ring
from tests.keys import NOW, like, made


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / FILE)


def opens(ring: Ring | None, text: str) -> bool:
    assert ring is not None
    return isinstance(ring.find(text.encode(), NOW.timestamp()), Holder)


def test_the_file_is_its_owners_alone_and_holds_no_secret(tmp_path: Path, file: KeyFile) -> None:
    texts = [made(tmp_path, "read"), made(tmp_path, "predict:rides")]
    assert file.path.stat().st_mode & 0o777 == 0o600
    written = file.path.read_text()
    for text in texts:
        assert text[13:] not in written
        assert opens(Ring(file.read()), text)
    texts.append(file.rotate(texts[0][4:12], timedelta(days=1), NOW)[0])
    file.revoke(texts[1][4:12], NOW)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert not any(text[13:] in file.path.read_text() for text in texts)


def test_a_successor_has_what_the_old_key_had_and_lives_as_long(tmp_path: Path, file: KeyFile) -> None:
    text = made(tmp_path, "predict:rides", created=NOW, expires=NOW + timedelta(days=90), rows_per_s=7.0, burst_rows=9)
    later = NOW + timedelta(days=80)
    _, key, old = file.rotate(text[4:12], timedelta(days=7), later)
    assert (key.name, key.scopes, key.rows_per_s, key.burst_rows) == (old.name, old.scopes, 7, 9)
    assert (key.created, key.expires, old.expires) == (later, later + timedelta(days=90), later + timedelta(days=7))
    _, other, _ = file.rotate(key.id, timedelta(days=7), later, expires=later + timedelta(days=1))
    assert other.expires == later + timedelta(days=1)


def test_changes_at_the_same_time_are_all_made(tmp_path: Path, file: KeyFile) -> None:
    threads = [threading.Thread(target=made, args=(tmp_path, "read")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(file.read().keys) == 8


def test_a_change_of_a_file_that_cannot_be_read_is_refused_and_leaves_it(tmp_path: Path, file: KeyFile) -> None:
    file.path.write_text("[[key")
    with pytest.raises(KeysInvalid, match=r"keys\.toml"):
        made(tmp_path, "read")
    assert file.path.read_text() == "[[key"
    file.path.unlink()
    with pytest.raises(KeyUnknown):
        file.revoke("00000000", NOW)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_root_makes_a_key_for_the_owner_of_the_home(tmp_path: Path, file: KeyFile) -> None:
    os.chown(tmp_path, 12_345, 12_346)
    made(tmp_path, "read")
    for path in (file.path, tmp_path / f"{FILE}.lock"):
        assert (path.stat().st_uid, path.stat().st_gid) == (12_345, 12_346)
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_a_key_that_ends_with_the_calendar_can_be_rotated(tmp_path: Path, file: KeyFile) -> None:
    last = NOW.replace(year=9999)
    text = made(tmp_path, "read", created=NOW, expires=last)
    assert file.rotate(text[4:12], timedelta(days=1), NOW + timedelta(days=80))[1].expires == last


@pytest.mark.parametrize("found", ["directory", "not text", "large"])
def test_what_is_no_file_of_keys_is_named(file: KeyFile, found: str) -> None:
    if found == "directory":
        file.path.mkdir()
    else:
        file.path.write_bytes(b"\xff" if found == "not text" else b"#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(KeysInvalid, match=r"keys\.toml"):
        file.read()


# --- followed -----------------------------------------------------------------------------------------------------


def looked(keyring: Keyring) -> bool:
    """One look, as the loops make it."""
    if changed := keyring.changed():
        keyring.read()
    return changed


def test_a_key_that_is_made_opens_and_one_that_is_revoked_does_not_from_the_next_look_on(
    tmp_path: Path, file: KeyFile
) -> None:
    keyring = Keyring(file)
    assert keyring.ring is None
    assert looked(keyring) and keyring.ring is not None and "keys add" in keyring.problem
    assert not looked(keyring)
    text = made(tmp_path, "read", created=NOW)
    assert looked(keyring) and opens(keyring.ring, text) and not keyring.problem
    file.revoke(text[4:12], NOW)
    assert looked(keyring) and not opens(keyring.ring, text)


def test_a_file_that_cannot_be_read_leaves_the_keys_and_says_so_until_it_can(tmp_path: Path, file: KeyFile) -> None:
    keyring, text = Keyring(file), made(tmp_path, "read")
    looked(keyring)
    good = file.path.read_bytes()
    file.path.write_bytes(good[:-20])
    assert looked(keyring) and opens(keyring.ring, text) and "keys.toml" in keyring.problem
    assert not looked(keyring)  # it is not read again before it changes
    file.path.write_bytes(good)
    assert looked(keyring) and opens(keyring.ring, text) and keyring.problem == ""


def test_a_process_that_never_read_its_keys_has_none(file: KeyFile) -> None:
    file.path.write_text("[[key")
    keyring = Keyring(file)
    keyring.read()
    assert keyring.ring is None and "keys.toml" in keyring.problem


def test_a_disk_that_fails_is_asked_again(tmp_path: Path) -> None:
    loop = tmp_path / FILE
    loop.symlink_to(loop)  # ELOOP: no file of ours, and no absent one
    keyring = Keyring(KeyFile(loop))
    keyring.read()
    assert keyring.ring is None and "Too many levels" in keyring.problem
    assert keyring.changed()
    loop.unlink()
    assert looked(keyring) and keyring.ring is not None


def test_a_file_that_is_gone_for_one_look_is_being_replaced_and_for_two_has_no_keys(
    tmp_path: Path, file: KeyFile
) -> None:
    keyring, text = Keyring(file), made(tmp_path, "read")
    looked(keyring)
    aside = file.path.rename(tmp_path / "aside")
    assert not looked(keyring) and opens(keyring.ring, text)
    aside.rename(file.path)
    looked(keyring)
    assert opens(keyring.ring, text)
    file.path.unlink()
    assert not looked(keyring) and opens(keyring.ring, text)
    assert looked(keyring) and isinstance(keyring.ring, Ring) and not opens(keyring.ring, text)
    assert isinstance(keyring.ring.find(fresh(like("read"))[0].encode(), 0), Refused)
