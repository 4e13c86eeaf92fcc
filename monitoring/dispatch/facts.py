"""What does a decision to send read of an event? A few of its fields, taken from its bytes.

Law: whatever else an event carries changes nothing; a field that is not there reads as "not known", never as good news.
"""

from enum import StrEnum
from typing import Any

import msgspec

from monitoring.events import ENDED_TYPE

LABEL_SIDE = "label"
LOSS_CHECKS = ("loss", "estimate")  # of realised loss against training, and against what the scores promise


class Loss(StrEnum):
    """Did the model's loss rise, realised or estimated? An event says so as `data.loss.rose`, or by a check that breached."""

    ROSE = "rose"
    NOT_RISEN = "not_risen"
    UNKNOWN = "unknown"


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
    loss: Loss
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
        looks_left_out=msgspec.convert(data.get("also_left_out", 0), int),
        loss=_loss(data),
        story=_story(data),
    )


def _looks(data: dict[str, Any]) -> list[Look]:
    found = [Look(str(data.get("feature", "")), str(data.get("check", "")))] if "check" in data else []
    others = [one for one in data.get("also") or () if isinstance(one, dict)]
    return found + [Look(str(one.get("column", "")), str(one.get("check", ""))) for one in others]


def _story(data: dict[str, Any]) -> str:
    told = data.get("story")
    return str(told.get("sentence", "")) if isinstance(told, dict) else ""


def _loss(data: dict[str, Any]) -> Loss:
    if any(_is_rise(one) for one in (data, *(data.get("also") or ()))):
        return Loss.ROSE
    told = data.get("loss")
    rose = told.get("rose") if isinstance(told, dict) else None
    if not isinstance(rose, bool):
        return Loss.UNKNOWN
    return Loss.ROSE if rose else Loss.NOT_RISEN


def _is_rise(check: object) -> bool:
    """Is this a breached check of the loss that found more of it?"""
    if not isinstance(check, dict) or check.get("side") != LABEL_SIDE or check.get("check") not in LOSS_CHECKS:
        return False
    effect = check.get("effect")
    return isinstance(effect, int | float) and effect > 0
