"""Which versions were ejected, and why? `<home>/ejected.json`: what stands there is not loaded until a person sets or pins it.

Law: written aside, fsynced, renamed; by digest, so that the same bytes under another name stay out too.
"""

from collections.abc import Collection
from pathlib import Path

import msgspec

from models.durable import exclusively, replace_durably
from models.errors import UNDECODABLE

LOCK_WITHIN_S = 5.0


class Ejected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version that ended its workers; `at` in UTC."""

    digest: str
    name: str
    version: str
    at: str
    why: str

    @property
    def ref(self) -> str:
        return f"{self.name}:{self.version}"


class EjectedFile:
    """`ejected.json` in the home directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[tuple[Ejected, ...], str]:
        """Who is out; and why that is not known, where the file cannot be read: then nobody is, answers come first."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=tuple[Ejected, ...]), ""
        except FileNotFoundError:
            return (), ""
        except (OSError, *UNDECODABLE) as error:
            return (), f"{self.path.name}: cannot be read: {error}; no version counts as ejected"

    def by_digest(self) -> dict[str, Ejected]:
        """Who is out."""
        return {one.digest: one for one in self.read()[0]}

    def add(self, *more: Ejected) -> None:
        """Raises OSError."""
        with exclusively(self.path, within_s=LOCK_WITHIN_S):
            present, _ = self.read()
            self._write((*(one for one in present if one.digest not in {new.digest for new in more}), *more))

    def readmit(self, digests: Collection[str]) -> tuple[Ejected, ...]:
        """Takes them out of it; those that were in it. Raises OSError."""
        if not self.by_digest().keys() & set(digests):
            return ()
        with exclusively(self.path, within_s=LOCK_WITHIN_S):
            present, _ = self.read()
            self._write(tuple(one for one in present if one.digest not in digests))
            return tuple(one for one in present if one.digest in digests)

    def _write(self, ejected: tuple[Ejected, ...]) -> None:
        replace_durably(self.path, msgspec.json.format(msgspec.json.encode(ejected)) + b"\n")
