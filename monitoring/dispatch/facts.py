"""What does a decision to send read of an event? A few of its fields, taken from its bytes.

Law: whatever else an event carries changes nothing; a field that is not there reads as "not known", never as good news.
"""

from typing import Any

import msgspec

from monitoring.events import ENDED_TYPE


class Look(msgspec.Struct, frozen=True):
    """One check that breached, as silences name it; the whole row has no feature."""

    feature: str
    check: str


class Facts(msgspec.Struct, frozen=True):
    """`incident` is the id of the event that opened it, `looks` the checks that breached, `looks_left_out` how many more did,
    `story` what happened, in a sentence.

    A kilobyte, so those of all pending events can be kept.
    """

    id: str
    ended: bool
    incident: str
    model: str
    version: str
    digest: str
    time: str
    reason: str
    looks: tuple[Look, ...]
    looks_left_out: int
    story: str = ""


def facts_of(body: bytes) -> Facts:
    """Raises msgspec.DecodeError, msgspec.ValidationError: these bytes are no event."""
    event = msgspec.json.decode(body, type=dict[str, Any])
    data = msgspec.convert(event.get("data"), dict[str, Any])
    ended = event.get("type") == ENDED_TYPE
    identifier = str(event.get("id", ""))
    return Facts(
        id=identifier,
        ended=ended,
        incident=str(data.get("incident", "")) if ended else identifier,
        model=str(data.get("model", "")),
        version=str(data.get("version", "")),
        digest=str(data.get("digest", "")),
        time=str(event.get("time", "")),
        reason=str(data.get("reason", "")),
        looks=tuple(_looks(data)),
        looks_left_out=msgspec.convert(data.get("checks_left_out", 0), int),
        story=_story(data),
    )


def _looks(data: dict[str, Any]) -> list[Look]:
    return [
        Look(str(feature), str(check)) for feature, check in msgspec.convert(data.get("checks", []), list[list[str]])
    ]


def _story(data: dict[str, Any]) -> str:
    told = data.get("story")
    return str(told.get("sentence", "")) if isinstance(told, dict) else ""
