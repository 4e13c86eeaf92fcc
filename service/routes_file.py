"""The routes document on disk: read, compare-and-swap by generation, every change in the audit log first.

Laws
- An entry is fsynced in the audit log before its document is in use.
- The document is replaced as a whole, by one process at a time.
- A document that cannot be read stands in the way of no change: the routes in use are those of the newest entry.
- A document that no entry made (an edit by hand, a restored copy) is entered before it is followed, and given a generation.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from models.durable import exclusively, replace_durably, write_durably
from service.audit_file import AuditFile
from service.errors import RoutesInvalid
from service.routes_audit import (
    Author,
    ByHand,
    Chained,
    GivenUp,
    InStep,
    Standing,
    Via,
    entry_for,
    folded,
    line_of,
    read_line,
    standing,
    stated_hash,
)
from service.routes_document import Routes
from service.routes_errors import RoutesOutdated, RoutesUnreadable

LOCK_WITHIN_S = 5.0  # a change takes milliseconds; who holds the lock so long is stopped or its disk is
SETTLED_S = 0.3  # an editor that writes in place is done by then: what it leaves half is not taken for an edit
UNSIGNED = Author(Via.START)
_BY_HAND = "routes.toml was changed without the command or the API"
_GIVEN_UP = "the document of the entry before is not in use: its writer ended, or the document before it was put back"


class Followed(NamedTuple):
    """The document to follow; None while it is being changed: look again. `problem`: why it is not in the audit log."""

    document: Routes | None
    problem: str = ""


class RoutesFile:
    """`routes.toml` in the home directory, and the audit log beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.audit = AuditFile(path.with_name("routes.audit.jsonl"))

    def read(self) -> Routes:
        """The document; an absent file is generation 0 without models. Raises RoutesUnreadable."""
        try:
            return Routes.decode(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return Routes()
        except UnicodeDecodeError as error:
            raise RoutesUnreadable("routes.toml", str(error), "UTF-8 text") from error
        except RoutesInvalid as error:
            raise RoutesUnreadable(error.where, error.found, error.expected) from error

    def in_use(self) -> Routes:
        """The document; where it cannot be read, what the newest entry left. Raises RoutesUnreadable where there is none."""
        try:
            return self.read()
        except RoutesUnreadable:
            newest = self._newest()
            if newest is None:
                raise
            models = folded(chained.entry for chained in self.entries())
            return Routes(newest.entry.generation, models, newest.hash)

    def follow(self, *, patient: bool) -> Followed:
        """The document, entered where it was changed by hand.

        `patient`: who serves already waits for an edit that goes on, and goes on as it is where the document cannot be read
        (RoutesUnreadable is raised); who begins takes what the newest entry left.
        """
        try:
            document = self.read()
        except RoutesUnreadable as error:
            if patient:
                raise
            return Followed(self.in_use(), str(error))
        if isinstance(self._standing(document, self._newest()), InStep):
            return Followed(document)
        if patient and 0 <= time.time() - self._modified_s() < SETTLED_S:
            return Followed(None)
        try:
            with exclusively(self.path, within_s=0):
                return Followed(self._entered())
        except TimeoutError:  # somebody is changing it
            return Followed(None if patient else document)
        except OSError as error:  # a home that cannot be written is still served from
            return Followed(
                document, f"routes, audit log: cannot be written: {error}; the routes are followed unentered"
            )

    def swap(self, expected_generation: int, routes: Routes, author: Author = UNSIGNED) -> Routes:
        """Enters and writes the next generation; a document that cannot be read is put aside, not lost.

        Raises RoutesOutdated when somebody was first, RoutesUnreadable where there is no log either, OSError.
        """
        with exclusively(self.path, within_s=LOCK_WITHIN_S):
            present = self._entered()
            if present.generation != expected_generation or routes.generation != present.generation + 1:
                raise RoutesOutdated(present.generation, expected_generation)
            return self._enter(self._newest(), present, routes, author)

    def _entered(self) -> Routes:
        """The document as the newest entry has it, which is made where there is none; with the lock held."""
        document, newest = self.in_use(), self._newest()
        match self._standing(document, newest):
            case InStep():
                return document
            case GivenUp():
                return self._adopt(newest, document, Author(Via.GIVEN_UP, why=_GIVEN_UP))
            case ByHand(missing):
                return self._adopt(newest, document, Author(Via.HAND, why=_BY_HAND), missing)

    def _adopt(self, newest: Chained | None, document: Routes, author: Author, missing: str = "") -> Routes:
        generation = max(document.generation, newest.entry.generation + 1 if newest else 0)
        before = Routes(models=folded(chained.entry for chained in self.entries()))
        return self._enter(newest, before, Routes(generation, document.models), author, missing)

    def _enter(
        self, newest: Chained | None, before: Routes, after: Routes, author: Author, missing: str = ""
    ) -> Routes:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = entry_for(newest, before.models, after, author, at)
        line, digest = line_of(replace(entry, missing=missing, torn_bytes=self.audit.newest()[1]))
        made = Routes(after.generation, after.models, digest)
        self._put_aside()
        self.audit.append(line)
        replace_durably(self.path, made.encode().encode())
        return made

    def _put_aside(self) -> None:
        """A document that cannot be read, somebody's work that went wrong, is kept beside the one that replaces it."""
        try:
            self.read()
        except RoutesUnreadable:
            write_durably(self.path.with_name(f"{self.path.name}.unreadable"), self.path.read_bytes())

    def entries(self) -> list[Chained]:
        """Every entry that can be read, oldest first."""
        found = []
        for line in self.audit.lines():
            try:
                found.append(read_line(line))
            except ValueError:
                continue  # `verify` says so; what is left of the history is still of use
        return found

    def _newest(self) -> Chained | None:
        line, _ = self.audit.newest()
        if line is None:
            return None
        try:
            return read_line(line)
        except ValueError:  # damaged: the chain goes on from the last whole entry, `verify` tells the break
            return next(reversed(self.entries()), None)

    def _standing(self, document: Routes, newest: Chained | None) -> Standing:
        return standing(document, newest, map(stated_hash, self.audit.lines()))

    def _modified_s(self) -> float:
        try:
            return self.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0
