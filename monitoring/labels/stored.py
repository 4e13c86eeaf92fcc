"""What of the labels' book survives a restart, and its bytes.

Laws
- restore(store(b)) goes on exactly as b would.
- No request id is in it: rows are known by their keys.
"""

from collections import Counter

import msgspec
import numpy as np
import numpy.typing as npt

from models.performance import Performance
from models.task import Task
from monitoring.labels.ask import Ask
from monitoring.labels.book import COUNTERS, Book, Open, Subject
from monitoring.labels.cohorts import PARTS, Cohorts, size_of
from monitoring.labels.detector import EXCESSES, Detector
from monitoring.labels.learning import Learning
from monitoring.labels.ranks import Ranks
from monitoring.labels.recent import Recent, Sums
from monitoring.labels.rows import ROW, Rows
from monitoring.labels.track import HELD, Track
from monitoring.labels.waiting import DONE, Waiting
from monitoring.labels.witnesses import Witnesses
from monitoring.vectors import StoredVector, pack, unpack
from service.featurelog.record import Feedback, SchemaColumn

PLACES = "<i8"


class StoredAsk(msgspec.Struct, frozen=True, array_like=True):
    task: Task
    outputs: tuple[SchemaColumn, ...]
    said: int
    confidence: tuple[int, ...]
    edges: tuple[float, ...]
    scale: float
    given: Performance | None


class StoredDetector(msgspec.Struct, frozen=True, array_like=True):
    first: int
    day: int
    week: int
    days: int
    whole: list[float]
    upper: list[float]
    lower: list[float]
    looked: float
    loss_standing: bool
    estimate_standing: bool
    unseen: bool


class StoredRanks(msgspec.Struct, frozen=True, array_like=True):
    shift: int
    places: bytes
    counts: StoredVector


class StoredTrack(msgspec.Struct, frozen=True):
    subject: tuple[str, str, str]
    ask: StoredAsk
    last_minute: int
    rows_max: int
    let_go_from: int | None
    rows: bytes
    done: bytes
    held: bytes
    slices: dict[int, StoredVector]
    learning: StoredVector | None
    learning_days: dict[int, tuple[int, int, int]]
    learnt: Performance | None
    detector: StoredDetector
    recent: dict[int, tuple[int, ...]]
    ranks: dict[int, StoredRanks] = {}  # checkpoints of earlier versions have none
    learning_witnesses: tuple[int, int, int, int] | None = None  # the same: they learn anew


class StoredOpen(msgspec.Struct, frozen=True, array_like=True):
    minute: int
    rows: list[tuple[tuple[str, str, str], list[bytes]]]
    unscored: list[tuple[tuple[str, str, str], int]]
    labels: list[Feedback]


class StoredBook(msgspec.Struct, frozen=True):
    """The book as it is written."""

    tracks: list[StoredTrack]
    open: list[StoredOpen]
    counters: dict[str, int]


def store(book: Book) -> StoredBook:
    """The book as a value to be written."""
    return StoredBook(
        tracks=[_track(subject, track) for subject, track in sorted(book.tracks.items(), key=lambda item: item[0])],
        open=[
            StoredOpen(
                minute,
                [(subject, [part.tobytes() for part in parts]) for subject, parts in sorted(held.rows.items())],
                [(subject, n) for subject, n in sorted(held.unscored.items())],
                held.labels,
            )
            for minute, held in sorted(book.open.items())
        ],
        counters={name: book.counters[name] for name in COUNTERS},
    )


def restore(stored: StoredBook) -> Book:
    """The book that was written. Raises ValueError."""
    book = Book(counters=Counter({name: n for name, n in stored.counters.items() if n}))
    for held in stored.tracks:
        book.tracks[Subject(*held.subject)] = _restored(held)
    for opened in stored.open:
        book.open[opened.minute] = Open(
            {Subject(*subject): [_rows(part, ROW) for part in parts] for subject, parts in opened.rows},
            Counter({Subject(*subject): n for subject, n in opened.unscored}),
            list(opened.labels),
        )
    return book


def _track(subject: Subject, track: Track) -> StoredTrack:
    ask, detector = track.ask, track.detector
    return StoredTrack(
        subject=subject,
        ask=StoredAsk(ask.task, ask.outputs, ask.said, ask.confidence, ask.edges, ask.scale, ask.given),
        last_minute=track.last_minute,
        rows_max=track.waiting.rows_max,
        let_go_from=track.waiting.let_go_from,
        rows=track.waiting.rows.tobytes(),
        done=track.waiting.done.tobytes(),
        held=track.held.tobytes(),
        slices={number: pack(vector) for number, vector in sorted(track.cohorts.slices.items())},
        learning=None if track.learning.grades is None else pack(track.learning.grades.ravel()),
        learning_days=dict(sorted(track.learning.days.items())),
        learnt=track.learnt,
        detector=StoredDetector(
            detector.first,
            detector.day,
            detector.week,
            detector.days,
            detector.whole.tolist(),
            detector.upper.tolist(),
            detector.lower.tolist(),
            detector.looked,
            detector.loss_standing,
            detector.estimate_standing,
            detector.unseen,
        ),
        recent={day: tuple(sums) for day, sums in sorted(track.recent.days.items())},
        ranks={
            number: StoredRanks(ranks.shift, ranks.places.astype(PLACES).tobytes(), pack(ranks.counts.ravel()))
            for number, ranks in sorted(track.cohorts.ranks.items())
        },
        learning_witnesses=track.learning.witnesses,
    )


def _restored(held: StoredTrack) -> Track:
    ask = Ask(*(getattr(held.ask, name) for name in StoredAsk.__struct_fields__))
    rows, done = _rows(held.rows, ROW), _rows(held.done, DONE)
    oldest_us = min((int(some["at_us"].min()) for some in (rows, done) if len(some)), default=0)
    size = size_of(ask.bins)
    slices = {number: unpack(vector, size) for number, vector in held.slices.items()}
    return Track(
        ask=ask,
        waiting=Waiting(held.rows_max, rows, done, oldest_us, held.let_go_from),
        last_minute=held.last_minute,
        cohorts=Cohorts(slices, {number: _ranks(ranks) for number, ranks in held.ranks.items()}),
        held=_rows(held.held, HELD),
        learning=_learning(held, ask.bins),
        learnt=held.learnt,
        detector=_detector(held.detector),
        recent=Recent({day: Sums(*sums) for day, sums in held.recent.items()}),
    )


def _ranks(held: StoredRanks) -> Ranks:
    places = np.frombuffer(held.places, dtype=PLACES).astype(np.int64)
    return Ranks(held.shift, places, unpack(held.counts, 2 * len(places)).reshape(2, len(places)))


def _learning(held: StoredTrack, bins: int) -> Learning:
    if held.learning is None or held.learning_witnesses is None:
        return Learning()
    grades = unpack(held.learning, PARTS * bins).reshape(PARTS, bins)
    return Learning(grades, dict(held.learning_days), Witnesses(*held.learning_witnesses))


def _detector(held: StoredDetector) -> Detector:
    if {len(held.whole), len(held.upper), len(held.lower)} != {len(EXCESSES)}:
        return Detector()  # written with other bets: it begins anew
    whole, upper, lower = (np.array(part, dtype=np.float64) for part in (held.whole, held.upper, held.lower))
    return Detector(
        held.first,
        held.day,
        held.week,
        held.days,
        whole,
        upper,
        lower,
        held.looked,
        held.loss_standing,
        held.estimate_standing,
        held.unseen,
    )


def _rows(data: bytes, dtype: "np.dtype[np.void]") -> Rows:
    rows: npt.NDArray[np.void] = np.frombuffer(data, dtype=dtype).copy()
    return rows
