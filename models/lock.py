"""Lock text to pins and back.

Laws
- A (name, version) has at most one pin, and a pin never changes its digest: new bytes take a new version.
- Text → pins → text is the identity on what this file wrote.
"""

import re
import tomllib
from typing import Self

import msgspec
import tomli_w

from models.errors import LockInvalid, PinConflict

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")  # a label value, a path segment and a file name alike
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
HEADER = "# Written by `plumbline models`; review its changes like code. A pin never changes its digest.\n\n"


class Pin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version that may be served: what it is called, which bytes it is, where they come from."""

    name: str
    version: str
    digest: str
    source: str

    def __post_init__(self) -> None:
        for what, value, pattern in (
            ("name", self.name, NAME),
            ("version", self.version, NAME),
            ("digest", self.digest, DIGEST),
        ):
            if not pattern.fullmatch(value):
                raise LockInvalid(
                    f"pin {self.name}:{self.version}", f"{what} {value!r}", f"{what} as {pattern.pattern}"
                )

    @property
    def ref(self) -> str:
        return f"{self.name}:{self.version}"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """A misspelt table would otherwise read as a lock without pins."""

    model: tuple[Pin, ...] = ()


class Lock(msgspec.Struct, frozen=True):
    """All pins, sorted by name and then by the order in which they were pinned."""

    pins: tuple[Pin, ...] = ()

    def with_pin(self, pin: Pin) -> "Lock":
        """Raises PinConflict when the version is pinned to other bytes; the same bytes may come from another source now."""
        if (known := self.find(pin.name, pin.version)) is not None:
            if known.digest != pin.digest:
                raise PinConflict(pin.ref, known.digest, pin.digest)
            return Lock(tuple(pin if one is known else one for one in self.pins))
        return Lock(tuple(sorted((*self.pins, pin), key=lambda p: p.name)))

    def find(self, name: str, version: str) -> Pin | None:
        return next((pin for pin in self.pins if pin.name == name and pin.version == version), None)

    def versions(self, name: str) -> tuple[Pin, ...]:
        return tuple(pin for pin in self.pins if pin.name == name)

    def encode(self) -> str:
        return HEADER + tomli_w.dumps({"model": [msgspec.to_builtins(pin) for pin in self.pins]})

    @classmethod
    def decode(cls, text: str, place: str = "models.lock.toml") -> Self:
        """Raises LockInvalid with the place, what was found and what was expected."""
        try:
            raw = tomllib.loads(text)
            pins = msgspec.convert(raw, _File).model
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise LockInvalid(place, str(error), "[[model]] tables with name, version, digest and source") from error
        refs = [pin.ref for pin in pins]
        if twice := sorted({ref for ref in refs if refs.count(ref) > 1}):
            raise LockInvalid(place, f"{twice[0]} twice", "every version once")
        return cls(pins)
