"""What can a setting say of an event: text with `${…}` in it, filled from the event's fields, and nothing that runs.

Laws
- `${id}`, `${time}`, `${type}`, `${subject}` are the event's; `${model}`, `${reason}`, `${window.seconds}` and so on its data;
  `${event}` is the whole event. A field that this event has not is an empty text; `$$` is a dollar.
- In a JSON body every value is escaped as the inside of a JSON string, so that no name can break out of its quotes;
  `${event}` alone is put in as it is.
"""

from collections.abc import Mapping
from re import RegexFlag
from string import Template
from typing import Any

import msgspec

TEMPLATE_CHARS_MAX = 20_000
ATTRIBUTES = frozenset({"id", "time", "type", "subject", "source", "specversion"})


class _Dotted(Template):
    idpattern = r"[a-z_][a-z0-9_]*(?:\.[a-z0-9_]+)*"
    flags = RegexFlag(0)  # names are lower case: `${MODEL}` is a mistake that is told at the start


class _Fields(Mapping[str, str]):
    def __init__(self, event: Mapping[str, Any], *, as_json: bool) -> None:
        self._event, self._as_json = event, as_json

    def __getitem__(self, name: str) -> str:
        if name == "event":
            return msgspec.json.encode(self._event).decode()
        text = _text(_found(self._event, name.split(".")))
        return msgspec.json.encode(text).decode()[1:-1] if self._as_json else text

    def __iter__(self) -> Any:
        return iter(self._event)

    def __len__(self) -> int:
        return len(self._event)


def fill(template: str, event: Mapping[str, Any], *, as_json: bool = False) -> str:
    """The text for this event. Raises ValueError: `problem` would have told at the start."""
    return _Dotted(template).substitute(_Fields(event, as_json=as_json))


def problem(template: str) -> str | None:
    """What is wrong with a template; None: nothing."""
    if len(template) > TEMPLATE_CHARS_MAX:
        return f"{len(template)} characters, expected at most {TEMPLATE_CHARS_MAX}"
    try:
        fill(template, {})
    except ValueError as error:
        return f"{error}; expected ${{name}} or $$"
    return None


def _found(event: Mapping[str, Any], path: list[str]) -> Any:
    at: Any = event if path[0] in ATTRIBUTES else event.get("data")
    for name in path:
        at = at.get(name) if isinstance(at, Mapping) else None
    return at


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            return msgspec.json.encode(value).decode()
