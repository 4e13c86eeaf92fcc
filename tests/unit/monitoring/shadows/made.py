"""What do the tests of paired comparison fold: two versions with a number, a class and a flag, and what both said."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from models.baseline import Baseline, column_of_codes, column_of_numbers
from models.contract import Column, Kind
from monitoring.reference import Reference
from service.featurelog.chunk import Chunk, Run
from service.featurelog.record import Block, Outcome, Record, Request, Schema, SchemaColumn, Shadow

MINUTE_US = 60_000_000
START_US = 29_000_000 * MINUTE_US
LABELS, OTHER_LABELS = ("no", "yes"), ("yes", "maybe", "no")
STD = 2.0

_rng = np.random.default_rng(7)
_scores = _rng.normal(size=4000)
SCORES = column_of_numbers(
    Column(name="score", kind=Kind.FLOAT), (_scores - _scores.mean()) / _scores.std() * STD, np.zeros(4000, np.bool_)
)
CLASSES = column_of_codes(
    Column(name="label", kind=Kind.STRING, categories=LABELS), _rng.integers(0, 2, 4000), np.zeros(4000, np.bool_)
)


def schema(number: int, version: str, labels: tuple[str, ...], *, swapped: bool = False) -> Schema:
    outputs = (SchemaColumn("score", Kind.FLOAT), SchemaColumn("label", Kind.STRING, labels))
    digest = "sha256:" + version * 64
    return Schema(number, "payments", version, digest, (), outputs[::-1] if swapped else outputs)


GIVEN, SHADOW = schema(0, "1", LABELS), schema(1, "2", OTHER_LABELS, swapped=True)
REFERENCES = {GIVEN.digest: Reference.of(GIVEN, Baseline(rows=4000, features=(), outputs=(SCORES, CLASSES)))}


@dataclass
class Said:
    """Rows of (score, label) of one answer; None is null, a label that the version does not know is text."""

    rows: Sequence[tuple[float | None, str | None]]
    labels: tuple[str, ...]
    swapped: bool = False
    text: list[tuple[int, int, str]] = field(default_factory=list)

    @property
    def block(self) -> Block:
        cells, nulls = np.zeros((len(self.rows), 2), np.int64), np.zeros((len(self.rows), 2), np.uint8)
        for number, (score, label) in enumerate(self.rows):
            nulls[number] = score is None, label is None
            cells[number, 0] = np.float64(0.0 if score is None else score).view(np.int64)
            cells[number, 1] = self.labels.index(label) if label in self.labels else -1 if label else 0
            if label is not None and label not in self.labels:
                self.text.append((number, 0 if self.swapped else 1, label))
        if self.swapped:
            cells, nulls = cells[:, ::-1], nulls[:, ::-1]
        return Block(len(cells), cells.tobytes(), nulls.tobytes() if nulls.any() else None, self.text or None)


Rows = Sequence[tuple[float | None, str | None]]


def answer(number: int, rows: Rows, *, at_us: int | None = None, arm: str = "stable", compute_us: int = 100) -> Request:
    """What was given."""
    at_us = START_US + number * 1_000_000 if at_us is None else at_us
    places = (at_us, f"r{number}", Outcome.ANSWERED, 200, "", "v1", 0, "payments", arm, 0, 1, len(rows), 0, compute_us)
    return Request(*places, 1000, None, Said(rows, LABELS).block)


def shadow(number: int, rows: Rows | None, *, at_us: int | None = None, compute_us: int = 150) -> Shadow:
    """What the shadow said; None: it failed."""
    at_us = START_US + number * 1_000_000 if at_us is None else at_us
    if rows is None:
        return Shadow(at_us, f"r{number}", 1, Outcome.FAILED, "runtime_failed", 1, 0)
    block = Said(rows, OTHER_LABELS, swapped=True).block
    return Shadow(at_us, f"r{number}", 1, Outcome.ANSWERED, "", len(rows), compute_us, block)


def run(records: Sequence[Record], writer: str = "w0", epoch: int = 1, first_seq: int = 0) -> Run:
    numbered = [(first_seq + place, record) for place, record in enumerate(records)]
    return Run(writer, epoch, numbered, {0: GIVEN, 1: SHADOW})


def chunk(*runs: Run) -> Chunk:
    return Chunk(runs, (), caught_up=True)


def at(record: Request | Shadow, at_us: int) -> Request | Shadow:
    return msgspec.structs.replace(record, at_us=at_us)
