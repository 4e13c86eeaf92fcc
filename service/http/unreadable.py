"""What is wrong with JSON that could not be read? The decoder's words made ours: found, expected, where (a JSON pointer)."""

import re

import msgspec

from service.errors import MalformedBody

_NOT_JSON = re.compile(rb"NaN|-?Infinity")
_SHOWN_BYTES = 16
_AT = re.compile(r"(.*) - at `\$?(.*)`", re.DOTALL)
_TYPES = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")
_RULE = re.compile(r"Expected `([^`]*)` (.+)")
_BYTE = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)")
_STEP = re.compile(
    r"\.([^.\[]+)|\[(\d+)\]|(\[\.\.\.\].*)"
)  # `[...]` is some element or key: the pointer ends before it
_WORDS = {
    "array": "a list",
    "bool": "a boolean",
    "float": "a number",
    "int": "an integer",
    "object": "an object",
    "str": "a string",
}
Errors = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a body that it cannot read; a ValidationError is a DecodeError."""


def malformed(error: Exception, body: bytes, expected: str) -> MalformedBody:
    """One of `Errors` as ours; `expected`: the whole body, where nothing nearer can be said."""
    if not body.strip():
        return MalformedBody("found nothing", expected)
    match error:
        case RecursionError():
            return MalformedBody("nested too deeply", expected)
        case UnicodeDecodeError():
            return MalformedBody("found text that is not UTF-8", expected)
        case msgspec.ValidationError():
            return _invalid(str(error), expected)
    return _broken(str(error), body, expected)


def _invalid(text: str, expected: str) -> MalformedBody:
    """JSON of another type or shape."""
    if (placed := _AT.fullmatch(text)) is None:
        at = ""
    else:
        text, at = placed[1], _pointer(placed[2])
    if (types := _TYPES.fullmatch(text)) is not None:
        return MalformedBody(f"found {_named(types[2])}", _named(types[1]) if at else expected, at=at)
    if (rule := _RULE.fullmatch(text)) is not None:
        return MalformedBody("found one outside its bounds", f"{_named(rule[1])} {rule[2]}", at=at)
    if text == "Number out of range":
        return MalformedBody("found a number out of range", "one that 64 bits hold", at=at)
    told = text.replace("Object missing required field", "found no").replace("Object contains", "found the")
    return MalformedBody(told[:1].lower() + told[1:], expected, at=at)


def _broken(text: str, body: bytes, expected: str) -> MalformedBody:
    """No JSON at all."""
    if (placed := _BYTE.fullmatch(text)) is None:
        return MalformedBody("ends too early" if "truncated" in text else text[:1].lower() + text[1:], expected)
    place = int(placed[2])
    if (word := _NOT_JSON.match(body, place - 1) or _NOT_JSON.match(body, place)) is not None:
        return MalformedBody(f"found {word[0].decode()} at byte {word.start()}, which is not JSON", "a number or null")
    shown = body[place : place + _SHOWN_BYTES]
    if placed[1] == "trailing characters":
        return MalformedBody(f"found more after its end, at byte {place}", expected)
    return MalformedBody(f"{placed[1]} at byte {place}, before {shown!r}", expected)


def _pointer(path: str) -> str:
    """msgspec's `.inputs[0].name` as `/inputs/0/name`."""
    steps = []
    for name, number, some in _STEP.findall(path):
        if some:
            break
        steps.append(name.replace("~", "~0").replace("/", "~1") or number)
    return "".join(f"/{step}" for step in steps)


def _named(types: str) -> str:
    return " or ".join(_WORDS.get(one, one) for one in types.split(" | "))
