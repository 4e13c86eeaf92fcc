"""What do the tests of labels fold: a version with one probability, its requests, and labels that come later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.baseline import Baseline, column_of_numbers
from models.contract import Column, Kind
from models.performance import Performance
from models.task import Label, Task, TaskKind
from monitoring.labels.ask import Ask, ask_of
from monitoring.labels.book import Book, Subject
from monitoring.labels.track import LabelRules
from monitoring.reference import Reference
from service.featurelog.chunk import Chunk, Run
from service.featurelog.record import Block, Feedback, Outcome, Record, Request, Schema, SchemaColumn

MINUTE_US = 60_000_000
DAY = 1440
START_MINUTE = 29_000_160  # midnight UTC
SUBJECT = Subject("payments", "1", "sha256:" + "1" * 64)
BINARY = Task(kind=TaskKind.BINARY, output="p", classes=("0", "1"))
RULES = LabelRules(rows_max=1000, wait_s=45 * 86_400, mature_s=0, tolerance=0.03, alpha=0.1)

Floats = npt.NDArray[np.float64]


def draw(n: int, rng: np.random.Generator, *, centre: float = -2.0, moved: float = 0.0) -> tuple[Floats, Floats]:
    """Scores and what came true, calibrated unless the log odds are moved; about one in six is positive."""
    odds = rng.normal(centre, 1.3, n)
    return 1 / (1 + np.exp(-odds)), (rng.uniform(size=n) < 1 / (1 + np.exp(-odds - moved))).astype(np.float64)


def performance(rows: int = 20_000, *, held_out: bool = True, seed: int = 5) -> Performance:
    scores, hits = draw(rows, np.random.default_rng(seed))
    return Performance.of(BINARY, scores, hits, held_out=held_out)


def reference(given: Performance | None = None, label: str | None = "fraud") -> Reference:
    """One output p; `given`: what came with the version."""
    scores, _ = draw(5000, np.random.default_rng(6))
    column = column_of_numbers(Column(name="p", kind=Kind.FLOAT), scores, np.zeros(5000, np.bool_))
    schema = Schema(0, *SUBJECT, (), (SchemaColumn("p", Kind.FLOAT),))
    return Reference.of(schema, Baseline(rows=5000, features=(), outputs=(column,), performance=given), label=label)


def binary(given: Performance | None = None) -> Ask:
    """What is asked of it, as a binary task."""
    asked = ask_of(reference(given or performance(200, held_out=False)), None)
    assert isinstance(asked, Ask)
    return asked if given is not None else replace(asked, given=None)


def request(minute: int, name: str, scores: Sequence[float], *, second: int = 0) -> Request:
    block = Block(len(scores), np.array(scores, dtype="<f8").tobytes())
    at_us = minute * MINUTE_US + second * 1_000_000
    places = (at_us, name, Outcome.ANSWERED, 200, "", "v1", 0, "payments", "stable", 0, 1, len(scores), 0, 100, 1000)
    return Request(*places, None, block)


def label(minute: int, name: str, value: Label, *, row: int = 0, second: int = 0) -> Feedback:
    at_us = minute * MINUTE_US + second * 1_000_000
    return Feedback(at_us, name, row, value, at_us)


@dataclass
class Folded:
    """A book that is given minutes."""

    book: Book
    ask: Ask
    rules: LabelRules = RULES

    def minute(self, number: int, *records: Record) -> set[Subject]:
        requests = [record for record in records if isinstance(record, Request)]
        labels = [record for record in records if isinstance(record, Feedback)]
        asks: Mapping[Subject, Ask] = {SUBJECT: self.ask} if requests else {}
        self.book.take(number, {SUBJECT: requests}, labels, asks)
        return self.book.close(number, {SUBJECT.model: self.rules})


def folded(given: Performance | None = None, rules: LabelRules = RULES) -> Folded:
    return Folded(Book(), binary(given), rules)


def run(writer: str, *records: Record) -> Run:
    schema = Schema(0, *SUBJECT, (), (SchemaColumn("p", Kind.FLOAT),))
    return Run(writer, 1, list(enumerate(records)), {0: schema})


def chunk(*runs: Run) -> Chunk:
    return Chunk(runs, (), caught_up=True)
