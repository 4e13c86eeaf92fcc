"""API keys: what may who do, how much of it, until when? Text to keys and back, and the look at a key that is presented.

Laws
- A key's text is in no document: its sha256 is. The text has 256 random bits, so a fast hash gives nothing away.
- A key that is not known costs the same comparison as one that is; which of its bytes are wrong cannot be timed.
- A key that was revoked or has expired opens nothing.
- Text → keys → text is the identity on what this file wrote.
"""

import hmac
import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from ipaddress import ip_address
from math import inf, isfinite
from typing import Annotated, Literal, Self

import msgspec
import tomli_w
from msgspec import Meta
from msgspec.structs import replace

from models.key_errors import KeysInvalid, KeyUnknown
from models.lock import NAME

PREFIX = "plk_"  # by which scanners of repositories and logs find what should not be there
ID_CHARS, SECRET_CHARS = 8, 64
TEXT_CHARS = len(PREFIX) + ID_CHARS + 1 + SECRET_CHARS
KEYS_MAX = 1000  # more callers than that want an identity provider in front
SCOPES_MAX = 32
ROWS_PER_S_MAX = 1e9
DEAD_KEPT = timedelta(days=90)  # so long an old key is still told that it expired or was revoked
HEADER = "# Written by `plumbline keys`; followed while the service runs. No key can be made from what stands here.\n\n"

_BEARER = b"bearer "
PREDICT, READ, ADMIN = "predict", "read", "admin"
_ID, _DIGEST = re.compile(r"[0-9a-f]{8}"), re.compile(r"[0-9a-f]{64}")
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@/ -]{0,63}")
_EXPECTED = "[[key]] tables with id, name, sha256, scopes and created"

Mode = Literal["auto", "required", "off"]
Moment = Annotated[datetime, Meta(tz=True)]


def asked_for(mode: Mode, host: str) -> bool:
    """Must a request to this address bring a key? `auto`: unless only this machine reaches it."""
    return mode == "required" or (mode == "auto" and not _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One key as it is kept. `rows_per_s` absent: no limit; `burst_rows` absent: what a second gives.

    An owner may have any number of live ones: that is how keys are changed without a gap.
    """

    id: str
    name: str
    sha256: str
    scopes: tuple[str, ...]
    created: Moment
    expires: Moment | None = None
    revoked: Moment | None = None
    rows_per_s: float | None = None
    burst_rows: int | None = None

    def __post_init__(self) -> None:
        for what, value, pattern in (
            ("id", self.id, _ID),
            ("name", self.name, _OWNER),
            ("sha256", self.sha256, _DIGEST),
        ):
            if not pattern.fullmatch(value):
                raise KeysInvalid(
                    f"key {self.id[:ID_CHARS]!r}", f"{what} {value[:64]!r}", f"{what} as {pattern.pattern}"
                )
        if not 0 < len(self.scopes) <= SCOPES_MAX:
            raise KeysInvalid(f"key {self.id}", f"{len(self.scopes)} scopes", f"1 to {SCOPES_MAX}")
        for scope in self.scopes:
            _check_scope(f"key {self.id}", scope)
        if self.rows_per_s is None and self.burst_rows is not None:
            raise KeysInvalid(f"key {self.id}", "burst_rows without rows_per_s", "both, or rows_per_s alone")
        if self.rows_per_s is not None and not (isfinite(self.rows_per_s) and 0 < self.rows_per_s <= ROWS_PER_S_MAX):
            raise KeysInvalid(
                f"key {self.id}", f"rows_per_s {self.rows_per_s}", f"more than 0, at most {ROWS_PER_S_MAX:g}"
            )
        if self.burst_rows is not None and not 0 < self.burst_rows <= ROWS_PER_S_MAX:
            raise KeysInvalid(f"key {self.id}", f"burst_rows {self.burst_rows}", f"1 to {ROWS_PER_S_MAX:.0f}")

    def died(self) -> datetime | None:
        """When it stopped, or will stop, to open anything; None: it is not known to."""
        ends = [end for end in (self.expires, self.revoked) if end is not None]
        return min(ends) if ends else None

    def live(self, now: datetime) -> bool:
        """Does it open anything?"""
        died = self.died()
        return died is None or now < died


def _check_scope(where: str, scope: str) -> None:
    word, colon, model = scope.partition(":")
    if scope in (PREDICT, READ, ADMIN) or (word == PREDICT and colon and NAME.fullmatch(model)):
        return
    raise KeysInvalid(where, f"scope {scope[:80]!r}", "predict, predict:MODEL, read or admin")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """A misspelt table would otherwise read as a file without keys."""

    key: tuple[Key, ...] = ()


class Keys(msgspec.Struct, frozen=True):
    """All keys, oldest first."""

    keys: tuple[Key, ...] = ()

    def with_key(self, key: Key) -> "Keys":
        """Raises KeysInvalid: too many, or the id is taken."""
        kept = [one for one in self.keys if (died := one.died()) is None or key.created - died < DEAD_KEPT]
        return _made((*kept, key))

    def revoked(self, identifier: str, now: datetime) -> "Keys":
        """Raises KeyUnknown: there is none, or it is dead already."""
        return self._changed(replace(self._live(identifier, now), revoked=now))

    def rotated(self, identifier: str, successor: Callable[[Key], Key], overlap: timedelta, now: datetime) -> "Keys":
        """The successor beside the key, which expires after the overlap, if not before. Raises KeyUnknown, KeysInvalid."""
        old = self._live(identifier, now)
        end = now + overlap
        ending = replace(old, expires=end if old.expires is None else min(old.expires, end))
        return self._changed(ending).with_key(successor(old))

    def _live(self, identifier: str, now: datetime) -> Key:
        for key in self.keys:
            if key.id == identifier and key.live(now):
                return key
        raise KeyUnknown(identifier)

    def _changed(self, key: Key) -> "Keys":
        return Keys(tuple(key if one.id == key.id else one for one in self.keys))

    def encode(self) -> str:
        return HEADER + tomli_w.dumps({"key": [msgspec.to_builtins(k, builtin_types=(datetime,)) for k in self.keys]})

    @classmethod
    def decode(cls, text: str, place: str = "keys.toml") -> Self:
        """Raises KeysInvalid with the place, what was found and what was expected."""
        try:
            found = msgspec.convert(tomllib.loads(text), _File, builtin_types=(datetime,)).key
        except KeysInvalid as error:
            raise KeysInvalid(f"{place}, {error.where}", error.found, error.expected) from error
        except (ValueError, OverflowError, msgspec.ValidationError, RecursionError) as error:
            raise KeysInvalid(place, str(error), _EXPECTED) from error
        return cls(_made(found, place).keys)


def _made(keys: Iterable[Key], place: str = "keys.toml") -> Keys:
    found = tuple(keys)
    if len(found) > KEYS_MAX:
        raise KeysInvalid(place, f"{len(found)} keys", f"at most {KEYS_MAX}")
    known: set[str] = set()
    for key in found:
        if key.id in known:
            raise KeysInvalid(place, f"id {key.id} twice", "every id once")
        known.add(key.id)
    return Keys(found)


# --- a key that is presented ---------------------------------------------------------------------------------------


def presented(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The key that a request brings; b"": none. `x-api-key` goes before a bearer token, which may be a proxy's."""
    found = b""
    for name, value in headers:
        if name == b"x-api-key" and (text := value.strip()):
            return text
        if name == b"authorization" and value[:7].lower() == _BEARER:
            found = found or value[7:].strip()
    return found


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a key, as the service asks; `models`: those it may ask, None: all. `rows_per_s` 0: no limit."""

    id: str
    name: str
    digest: bytes = bytes(32)
    models: frozenset[str] | None = frozenset()
    read: bool = False
    admin: bool = False
    until_s: float = inf
    revoked: bool = False
    rows_per_s: float = 0.0
    burst_rows: float = 0.0

    def predicts(self, model: str) -> bool:
        """May this model be asked?"""
        return self.models is None or model in self.models

    @property
    def scopes(self) -> str:
        """What the key opens, for the sentence of a refusal."""
        asked = [PREDICT] if self.models is None else [f"{PREDICT}:{model}" for model in sorted(self.models)]
        return ADMIN if self.admin else ", ".join([*asked, *([READ] if self.read else [])])


class Refusal(StrEnum):
    """Why a presented key opens nothing."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Refused:
    """`id` only where the whole key was right: others learn nothing."""

    why: Refusal
    id: str = ""


def administrator(name: str) -> Holder:
    """Who may do everything."""
    return Holder(id=name, name=name, models=None, read=True, admin=True)


_NOBODY = Holder(id="", name="")  # nothing is known to have this digest
_UNKNOWN = Refused(Refusal.UNKNOWN)


class Ring:
    """All keys by id, ready for the look-up: a dictionary, one sha256 and one comparison, about 1 µs."""

    def __init__(self, keys: Keys, *, same: Callable[[bytes, bytes], bool] = hmac.compare_digest) -> None:
        self._by_id = {key.id.encode(): _holder(key) for key in keys.keys}
        self._same = same

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(holder.id for holder in self._by_id.values())

    def find(self, presented: bytes, now_s: float) -> Holder | Refused:
        """Who holds the key of this text; `now_s` in seconds since 1970."""
        text = presented if len(presented) == TEXT_CHARS else b""  # so that nobody has megabytes hashed
        holder = self._by_id.get(text[len(PREFIX) : len(PREFIX) + ID_CHARS], _NOBODY)
        if not self._same(sha256(text).digest(), holder.digest) or holder is _NOBODY:
            return _UNKNOWN
        if holder.revoked:
            return Refused(Refusal.REVOKED, holder.id)
        return holder if now_s < holder.until_s else Refused(Refusal.EXPIRED, holder.id)


def _holder(key: Key) -> Holder:
    scopes, admin = set(key.scopes), ADMIN in key.scopes
    named = frozenset(scope.partition(":")[2] for scope in scopes if ":" in scope)
    rows_per_s = key.rows_per_s or 0.0
    return Holder(
        id=key.id,
        name=key.name,
        digest=bytes.fromhex(key.sha256),
        models=None if admin or PREDICT in scopes else named,
        read=admin or READ in scopes,
        admin=admin,
        until_s=inf if key.expires is None else key.expires.timestamp(),
        revoked=key.revoked is not None,
        rows_per_s=rows_per_s,
        burst_rows=float(key.burst_rows or max(1.0, rows_per_s)),
    )
