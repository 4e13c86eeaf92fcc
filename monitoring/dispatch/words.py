"""Is what somebody says of an alert something that can be kept? From what was asked to a word, with its limits.

Law: no word without who said it; no silence without why, and none for ever.
"""

from datetime import UTC, datetime

import msgspec

from monitoring.dispatch.hands import EVERYTHING, TEXT_CHARS_MAX, Ack, Answer, Expire, Silence
from monitoring.errors import WordInvalid

SILENCE_S_MAX = 90 * 86_400.0  # what should be quiet for longer should not be watched, or be told to somebody else


class SilenceAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`for_s` from now, or `until`, a time; one of them. `dry_run`: only say what would be said."""

    why: str
    by: str = ""
    for_s: float | None = None
    until: datetime | None = None
    model: str = EVERYTHING
    version: str = EVERYTHING
    feature: str = EVERYTHING
    check: str = EVERYTHING
    dry_run: bool = False


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An acknowledgement, an end of a silence, or with `version` an answer."""

    by: str = ""
    why: str = ""
    version: str = ""
    dry_run: bool = False


def silence(asked: SilenceAsked, identifier: str, by: str, at_s: float) -> Silence:
    """Raises WordInvalid."""
    until_s = _until_s(asked, at_s)
    if not at_s < until_s <= at_s + SILENCE_S_MAX:
        raise WordInvalid(f"an end {until_s - at_s:.0f} s from now", f"more than 0 and at most {SILENCE_S_MAX:.0f} s")
    if not asked.why.strip():
        raise WordInvalid("no reason", "why it is silenced")
    patterns = {name: _text(name, getattr(asked, name)) for name in ("model", "version", "feature", "check")}
    return Silence(
        id=identifier, at_s=at_s, by=_who(asked.by, by), why=_text("why", asked.why), until_s=until_s, **patterns
    )


def expire(asked: Said, identifier: str, by: str, at_s: float) -> Expire:
    """Raises WordInvalid."""
    return Expire(id=identifier, at_s=at_s, by=_who(asked.by, by), why=_text("why", asked.why))


def ack(asked: Said, event: str, by: str, at_s: float) -> Ack:
    """Raises WordInvalid."""
    return Ack(event=event, at_s=at_s, by=_who(asked.by, by), why=_text("why", asked.why))


def answer(asked: Said, event: str, by: str, at_s: float) -> Answer:
    """Raises WordInvalid."""
    version = _text("version", asked.version).strip()
    if not version:
        raise WordInvalid("no version", "the version that came of the request")
    return Answer(event=event, at_s=at_s, by=_who(asked.by, by), version=version, why=_text("why", asked.why))


def _until_s(asked: SilenceAsked, at_s: float) -> float:
    if (asked.for_s is None) == (asked.until is None):
        raise WordInvalid("both or none of for_s and until", "one of them")
    if asked.until is None:
        return at_s + (asked.for_s or 0.0)
    until = asked.until if asked.until.tzinfo is not None else asked.until.replace(tzinfo=UTC)
    return until.timestamp()


def _who(said: str, known: str) -> str:
    """Who is known by a key goes before who they say they are."""
    name = _text("by", known or said).strip()
    if not name:
        raise WordInvalid("nobody", "by: who says so")
    return name


def _text(what: str, text: str) -> str:
    if len(text) > TEXT_CHARS_MAX:
        raise WordInvalid(f"{what} of {len(text)} characters", f"at most {TEXT_CHARS_MAX}")
    return text
