import msgspec
import numpy as np
import pytest

from models.contract import Kind
from models.performance import Performance
from models.task import Task, TaskKind
from monitoring.labels import stored
from monitoring.labels.ask import Ask
from monitoring.labels.book import Book
from monitoring.labels.learning import REQUESTS, ROWS, Learning
from monitoring.labels.promise import Promise
from monitoring.labels.track import HELD, Track
from monitoring.labels.waiting import Waiting
from service.featurelog.record import SchemaColumn
from tests.unit.monitoring.labels.made import DAY, SUBJECT

NUMBER = Task(kind=TaskKind.NUMBER, output="y")
ASK = Ask(NUMBER, (SchemaColumn("y", Kind.FLOAT),), 0, (), (-1.0, 0.0, 1.0), 1.0, None)
SPREAD = 0.8  # of the log of the errors' scale
MEAN = 0.3 * np.sqrt(2 / np.pi)  # of the errors below


def learn(
    learning: Learning, rng: np.random.Generator, *, rows: int, a_day: int, days: int, alike: bool = True
) -> Performance | None:
    """Rows whose errors are large or small together, one request at a time; or each of a request of its own."""
    for day in range(days):
        for number in range(a_day):
            minute = day * DAY + number * (DAY // a_day) + 1
            came = np.zeros(rows, dtype=HELD)
            came["who"], came["score"] = minute if alike else minute * rows + np.arange(rows), rng.normal(size=rows)
            scale = 0.3 * np.exp(rng.normal(size=1 if alike else rows) * SPREAD - SPREAD**2 / 2)
            learning.take(minute, came, came["score"] + scale * rng.normal(size=rows), ASK)
            if (found := learning.reference(minute, ASK)) is not None:
                return found
    return None


@pytest.mark.parametrize("alike", [True, False])
def test_a_learnt_reference_says_how_far_it_is_known_however_alike_rows_of_a_request_are(alike: bool) -> None:
    learnt = [
        learn(Learning(), np.random.default_rng(seed), rows=200, a_day=15, days=9, alike=alike) for seed in range(40)
    ]
    promises = [Promise.of(one) for one in learnt if one is not None]
    assert len(promises) == 40
    means = np.array([promise.mean for promise in promises])
    errors = np.array([promise.mean_error for promise in promises])
    assert np.median(errors) == pytest.approx(means.std(), rel=0.35)
    assert (means + 2 * errors < MEAN).mean() <= 0.1
    effects = [one.alike for one in learnt if one is not None]
    assert min(effects) > 10 if alike else max(effects) < 1.2
    of_bins = np.array([promise.errors[0] for promise in promises])
    by_bin = np.array([promise.loss for promise in promises])
    assert (np.median(of_bins, axis=0) > 0.7 * by_bin.std(axis=0)).all()


def test_a_few_large_requests_are_no_reference_however_many_rows_they_have() -> None:
    learning, rng = Learning(), np.random.default_rng(1)
    assert learn(learning, rng, rows=ROWS, a_day=1, days=30) is None
    assert learning.witnesses.requests == 30 < REQUESTS
    assert learn(Learning(), rng, rows=ROWS // 10, a_day=10, days=REQUESTS // 10 + 1) is not None


def test_what_was_learnt_before_requests_were_counted_is_learnt_anew() -> None:
    learning = Learning()
    learn(learning, np.random.default_rng(2), rows=3, a_day=10, days=2)
    book = Book({SUBJECT: Track(ASK, Waiting(10), 0, learning=learning)})
    written = stored.store(book)
    again = stored.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(written), type=stored.StoredBook))
    assert again.tracks[SUBJECT].learning.witnesses == learning.witnesses
    assert again.tracks[SUBJECT].learning.rows == 60
    before = msgspec.to_builtins(written)
    del before["tracks"][0]["learning_witnesses"], before["tracks"][0]["ranks"]
    old = stored.restore(msgspec.convert(before, stored.StoredBook))
    assert old.tracks[SUBJECT].learning == Learning()
