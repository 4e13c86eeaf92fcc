"""The key under which this deployment hashes: personal values in the log, and what a receipt says of an erasure.

Law: the key is made once, readable by its owner alone, and never changed: with another one a value would have another hash.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from models.durable import sync_directory
from service.featurelog.errors import KeyInvalid

KEY_BYTES_MIN = 16  # below it could be guessed
KEY_BYTES = 32


def deployment_key(path: Path, *, make: bool) -> bytes:
    """The key in this file; made where it is not there and `make`. Raises KeyInvalid."""
    if make and not path.exists():
        _make(path)
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise KeyInvalid(str(path), error.strerror or str(error)) from error
    if len(key) < KEY_BYTES_MIN:
        raise KeyInvalid(str(path), f"{len(key)} bytes")
    return key


def _make(path: Path) -> None:
    """Of several processes that start at once one makes it, and all read the same."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(secrets.token_hex(KEY_BYTES).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(aside, path)
        aside.unlink()
        sync_directory(path.parent)
    except OSError as error:
        raise KeyInvalid(str(path), error.strerror or str(error)) from error
