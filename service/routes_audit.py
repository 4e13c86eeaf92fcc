"""The audit log of the routes: lines ↔ entries, the chain that holds them together, and what the document says to it.

One JSON object a line, the newest last. `hash` is the sha256 of the line without it, `previous` the hash of the line before,
and the document in use names the entry that made it.

Laws
- A changed line does not have its hash; a missing one leaves its successor without a predecessor; cut ends are missed by the
  document, which names an entry that is not there.
- An entry is in the log before its change is in use, so an entry that no document followed was given up, and is said to be.
- What is torn at the end was never acknowledged: the entry was not complete, so its change was not made.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, TypeAlias

import msgspec

from models.errors import UNDECODABLE
from service.routes_document import ModelRoutes, Routes

HISTORY_MAX = (
    100  # changes of one model that the admin API tells, the newest; `plumbline routes history` reads them all
)
_HASH = re.compile(rb',"hash":"([0-9a-f]{64})"}')
_HASH_BYTES = len(',"hash":""}') + 64


class Via(StrEnum):
    """By which way a change came."""

    API = "api"
    COMMAND = "command"
    HAND = "hand"  # the document was changed without us
    EJECTED = "ejected"  # a version ended its workers (ejection.py)
    START = "start"  # a model's first route, given when it was pinned
    GIVEN_UP = "given_up"  # the entry before was never followed by its document


class Author(msgspec.Struct, frozen=True):
    """Who makes a change, why, and what was asked for in the words in which it was asked.

    `by` is what the request says of itself; `key` is the API key that it came with, where one was asked for.
    """

    via: Via
    by: str = ""
    why: str = ""
    asked: msgspec.Raw = msgspec.Raw(b"{}")
    key: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One change. `before` and `after`: the models that it changed, null where there are no routes; `document`: digest of
    them all; `torn_bytes`: what an interrupted entry had left behind; `missing`: the document named an entry that was gone.
    """

    n: int
    at: str
    via: Via
    by: str
    why: str
    asked: Any
    generation: int
    before: dict[str, ModelRoutes | None]
    after: dict[str, ModelRoutes | None]
    document: str
    key: str = ""
    torn_bytes: int = 0
    missing: str = ""
    previous: str = ""


@dataclass(frozen=True, slots=True)
class Chained:
    """An entry with the hash of its line."""

    entry: Entry
    hash: str


class Break(msgspec.Struct, frozen=True):
    """Where the log is not what was written; `line` from 1."""

    line: int
    problem: str


Standing: TypeAlias = "InStep | ByHand | GivenUp"


@dataclass(frozen=True, slots=True)
class InStep:
    """The document is what the newest entry says."""


@dataclass(frozen=True, slots=True)
class ByHand:
    """The document was changed without an entry; `missing`: it names an entry, but that is not in the log."""

    missing: str = ""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The newest entry was not followed by its document: its writer ended in between."""


def standing(document: Routes, newest: Chained | None, known: Iterable[str]) -> Standing:
    """What the document says to the log; `known`: hashes of the entries, looked at only where the newest is another."""
    if newest is None:
        return ByHand(document.entry) if document != Routes() else InStep()
    if document.digest == newest.entry.document:
        return InStep()
    if document.entry == newest.entry.previous and _reverted(document, newest.entry):
        return GivenUp()
    if document.entry in ("", newest.hash) or document.entry in known:
        return ByHand()
    return ByHand(document.entry)


def line_of(entry: Entry) -> tuple[bytes, str]:
    """The line, with its end, and its hash."""
    body = msgspec.json.encode(entry)
    digest = sha256(body).hexdigest()
    return body[:-1] + b',"hash":"' + digest.encode() + b'"}\n', digest


def read_line(line: bytes) -> Chained:
    """Raises ValueError with what is wrong with this line."""
    tail = line[-_HASH_BYTES:]
    if (found := _HASH.fullmatch(tail)) is None:
        raise ValueError("ends without its hash")
    body, stated = line[:-_HASH_BYTES] + b"}", found[1].decode()
    if sha256(body).hexdigest() != stated:
        raise ValueError("was changed: it is not what its hash says")
    try:
        return Chained(msgspec.json.decode(body, type=Entry), stated)
    except UNDECODABLE as error:
        raise ValueError(f"is no entry of this version: {error}") from error


def entry_for(
    newest: Chained | None, before: Mapping[str, ModelRoutes], after: Routes, author: Author, at: str
) -> Entry:
    """The entry of a change from these routes to this document, behind the newest."""
    named = sorted(m for m in before.keys() | after.models.keys() if before.get(m) != after.models.get(m))
    return Entry(
        n=newest.entry.n + 1 if newest else 0,
        at=at,
        via=author.via,
        by=author.by,
        why=author.why,
        asked=msgspec.json.decode(author.asked),
        generation=after.generation,
        before={model: before.get(model) for model in named},
        after={model: after.models.get(model) for model in named},
        document=after.digest,
        key=author.key,
        previous=newest.hash if newest else "",
    )


def folded(entries: Iterable[Entry]) -> dict[str, ModelRoutes]:
    """The routes after the last of these entries, from the first on."""
    models: dict[str, ModelRoutes] = {}
    for entry in entries:
        for model, routes in entry.after.items():
            if routes is None:
                models.pop(model, None)
            else:
                models[model] = routes
    return models


def breaks(lines: Iterable[bytes], document: Routes) -> Iterator[Break]:
    """Every place where the chain does not hold, and whether the document's own entry is in it."""
    number, previous, seen, first = 0, "", False, True
    for number, line in enumerate(lines, 1):
        try:
            chained = read_line(line)
        except ValueError as error:
            yield Break(number, str(error))
            previous = stated_hash(line)  # what follows is held against what this line says of itself
            seen, first = seen or previous == document.entry, False
            continue
        entry = chained.entry
        if entry.previous != previous:
            found = f"entry {entry.n} does not follow the line before"
            yield Break(number, f"{found}: {'the beginning is' if first else 'lines are'} missing")
        if entry.missing:
            yield Break(
                number, f"entry {entry.n} found the log without entry {entry.missing[:12]}…: lines were missing"
            )
        previous, first = chained.hash, False
        seen = seen or chained.hash == document.entry
    if document.entry and not seen:
        found = f"the routes in use name entry {document.entry[:12]}…"
        yield Break(number, f"{found}, which is not in the log: its end is missing")


def _reverted(document: Routes, entry: Entry) -> bool:
    """Whether the models that the entry changes are as they were before it."""
    same = all(document.models.get(model) == routes for model, routes in entry.before.items())
    return same and document.generation < entry.generation


def stated_hash(line: bytes) -> str:
    """What the line says of itself; "" where it says nothing."""
    found = _HASH.fullmatch(line[-_HASH_BYTES:])
    return found[1].decode() if found else ""
