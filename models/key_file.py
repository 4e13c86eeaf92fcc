"""`keys.toml` in the home directory: read it, make keys, change it; one writer at a time, readable by its owner alone."""

import os
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from msgspec.structs import replace

from models.durable import exclusively, read_regular, replace_durably
from models.key_errors import KeysInvalid
from models.keys import ID_CHARS, PREFIX, SECRET_CHARS, Key, Keys

FILE = "keys.toml"
FILE_BYTES_MAX = 4 << 20  # KEYS_MAX keys of all the scopes that one may have
LOCK_WITHIN_S = 5.0  # a change takes milliseconds; who holds the lock so long is stopped or its disk is
MODE = 0o600


class KeyFile:
    """The file on disk; an absent file is one without keys."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Keys:
        """Raises KeysInvalid, OSError."""
        data = read_regular(self.path, FILE_BYTES_MAX + 1)
        if data is None:
            if self.path.exists():
                raise KeysInvalid(str(self.path), "no regular file", "one")
            return Keys()
        if len(data) > FILE_BYTES_MAX:
            raise KeysInvalid(str(self.path), "a larger one", f"a file of at most {FILE_BYTES_MAX} bytes")
        try:
            return Keys.decode(data.decode("utf-8"), str(self.path))
        except UnicodeDecodeError as error:
            raise KeysInvalid(str(self.path), str(error), "UTF-8 text") from error

    def add(self, text: str, key: Key) -> str:
        """Puts it in; the text, which from here on only its owner has. Raises KeysInvalid, OSError, TimeoutError."""
        self._change(lambda keys: keys.with_key(key))
        return text

    def revoke(self, identifier: str, now: datetime) -> None:
        """Raises KeyUnknown, and as `add`."""
        self._change(lambda keys: keys.revoked(identifier, now))

    def rotate(
        self, identifier: str, overlap: timedelta, now: datetime, expires: datetime | None = None
    ) -> tuple[str, Key, Key]:
        """The successor's text, the successor, and the key as it ends. `expires` None: it lives as long as the old one was to.

        Raises KeyUnknown, and as `add`.
        """
        made: list[tuple[str, Key]] = []

        def successor(old: Key) -> Key:
            made.append(fresh(replace(old, created=now, expires=expires or _as_long(old, now))))
            return made[0][1]

        keys = self._change(lambda keys: keys.rotated(identifier, successor, overlap, now))
        text, key = made[0]
        return text, key, next(one for one in keys.keys if one.id == identifier)

    def _change(self, edit: Callable[[Keys], Keys]) -> Keys:
        with exclusively(self.path, within_s=LOCK_WITHIN_S):
            keys = edit(self.read())
            replace_durably(self.path, keys.encode().encode(), mode=MODE)
            self._hand_over()
        return keys

    def _hand_over(self) -> None:
        """Root changes the keys of a home for its owner, who could not read them otherwise."""
        if os.geteuid() == 0:
            owner = self.path.parent.stat()
            for path in (self.path, self.path.with_name(f"{self.path.name}.lock")):
                os.chown(path, owner.st_uid, owner.st_gid)


def _as_long(old: Key, now: datetime) -> datetime | None:
    """When a key that is made now ends, if it lasts as long as the old one was made to."""
    if old.expires is None:
        return None
    try:
        return now + (old.expires - old.created)
    except OverflowError:  # in the year 10 000
        return old.expires


def fresh(like: Key) -> tuple[str, Key]:
    """A new secret: the text of the key, and the key as it is kept; all but id and hash are those of `like`."""
    identifier = secrets.token_hex(ID_CHARS // 2)
    text = f"{PREFIX}{identifier}_{secrets.token_hex(SECRET_CHARS // 2)}"
    return text, replace(like, id=identifier, sha256=sha256(text.encode()).hexdigest())
