"""With which answers may a shadow's still be paired? Answers wait in the room of their writer.

Laws
- What is in a room depends on the records of its writer alone, in their order: not on chunks, other writers or a clock.
- An answer leaves when newer ones of its writer need the room: memory is bounded, and nothing waits for a clock.
- A writer that has shown no shadow during ACTIVE answers keeps QUIET of them only: those on their way when one begins.
- Pairing takes nothing out: a request may have any number of shadows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import msgspec

from service.featurelog.chunk import Run
from service.featurelog.record import Block, Outcome, PartRequest, PartShadow, Request, Schema, Shadow

QUIET = 64
ACTIVE = 100_000
BYTES_MAX = (
    4 << 20
)  # of answers a writer: some 15 000 of one row, three times what may wait for a shadow of all of them
ANSWER_BYTES = 250  # of one without its cells
WRITERS_MAX = 32  # rooms: 128 MB where all are full
PINNED = "pinned"  # has no shadows


class Answer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An answer that was given; `version`, `digest`: whose."""

    request_id: str
    at_us: int
    version: str
    digest: str
    compute_us: int
    outputs: Block


class Rival(NamedTuple):
    """Who is compared: the version that answered, and the shadow."""

    model: str
    given: str
    given_digest: str
    shadow: str
    shadow_digest: str


class Pair(NamedTuple):
    """Both answers to one request."""

    answer: Answer
    shadow: Shadow


class Unpaired(NamedTuple):
    """A shadow's answer with nothing to hold it against, and why."""

    model: str
    shadow: str
    reason: str


@dataclass(slots=True)
class Room:
    """The answers of one writer, oldest first; `since_shadow`: how many came after its last shadow, no further than ACTIVE."""

    epoch: int = 0
    last_us: int = 0
    since_shadow: int = ACTIVE
    size: int = 0
    answers: dict[tuple[str, int], Answer] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        return self.since_shadow < ACTIVE

    def take(self, run: Run, *, shadowed: bool) -> Iterator[tuple[Rival, Pair] | Unpaired]:
        """The records of a run of this writer; `shadowed`: is a shadow's among them?"""
        if run.epoch != self.epoch:  # a worker that ended took its shadows with it
            self.epoch, self.size = run.epoch, 0
            self.answers.clear()
        if run.records:
            self.last_us = run.records[-1][1].at_us
        if not shadowed and not self.active:
            self._glance(run)
            return
        for _, record in run.records:
            if isinstance(record, Request):
                self._keep(record, run)
            elif isinstance(record, Shadow):
                self.since_shadow = 0
                yield self._pair(record, run.schemas.get(record.schema))

    def _glance(self, run: Run) -> None:
        """The same where no shadow comes: only the last answers can stay."""
        last = (record for _, record in reversed(run.records) if isinstance(record, Request) and _counts(record))
        for record in reversed(list(islice(last, QUIET))):
            self._keep(record, run)

    def _keep(self, record: Request, run: Run) -> None:
        schema = run.schemas.get(record.schema)
        if schema is None or not _counts(record) or record.outputs is None:
            return
        key = (record.request_id, record.at_us)
        if (before := self.answers.pop(key, None)) is not None:
            self.size -= _size(before)
        answer = Answer(*key, schema.version, schema.digest, record.compute_us, record.outputs)
        self.answers[key] = answer
        self.size += _size(answer)
        self.since_shadow = min(ACTIVE, self.since_shadow + 1)
        while self.size > BYTES_MAX or (not self.active and len(self.answers) > QUIET):
            oldest = next(iter(self.answers))
            self.size -= _size(self.answers.pop(oldest))

    def _pair(self, record: Shadow, schema: Schema | None) -> tuple[Rival, Pair] | Unpaired:
        if schema is None:
            return Unpaired("", "", "nameless")
        if isinstance(record, PartShadow):
            return Unpaired(schema.model, schema.version, "erased")
        answer = self.answers.get((record.request_id, record.at_us))
        if answer is None:
            return Unpaired(schema.model, schema.version, "no_answer")
        rival = Rival(schema.model, answer.version, answer.digest, schema.version, schema.digest)
        return rival, Pair(answer, record)


def _counts(record: Request) -> bool:
    """May a shadow have been asked the same?"""
    answered = record.outcome is Outcome.ANSWERED and record.outputs is not None and record.outputs.n > 0
    return answered and record.arm != PINNED and not isinstance(record, PartRequest)


def _size(answer: Answer) -> int:
    outputs = answer.outputs
    text = sum(len(one[2]) for one in outputs.text) if outputs.text else 0
    return ANSWER_BYTES + len(outputs.cells) + len(outputs.nulls or b"") + text
