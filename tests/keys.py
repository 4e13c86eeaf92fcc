"""Keys for tests: made as the command makes them, with nothing printed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from models.key_file import FILE, KeyFile, fresh
from models.keys import Key

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BLANK = {"id": "0" * 8, "sha256": "0" * 64}


def like(*scopes: str, name: str = "tester", **given: Any) -> Key:
    """A key without its secret."""
    return Key(**{**BLANK, "name": name, "scopes": scopes, "created": NOW, **given})


def made(home: Path, *scopes: str, **given: Any) -> str:
    """The text of a new key of this home."""
    return KeyFile(home / FILE).add(*fresh(like(*scopes, **{"created": datetime.now(UTC), **given})))


def expired(home: Path, *scopes: str) -> str:
    """Of a key that was good until a minute ago."""
    now = datetime.now(UTC)
    return made(home, *scopes, created=now - timedelta(days=1), expires=now - timedelta(minutes=1))


def revoked(home: Path, *scopes: str) -> str:
    """Of a key that somebody has ended."""
    text = made(home, *scopes)
    KeyFile(home / FILE).revoke(text[4:12], datetime.now(UTC))
    return text


def bearer(text: str) -> dict[str, str]:
    """The header that brings it."""
    return {"authorization": f"Bearer {text}"}
