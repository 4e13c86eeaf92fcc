"""The labels of one version: rows that wait, what became of them, what they are held against, and whether that still holds.

Laws
- A minute is closed in this order: what is too old expires, the minute's predictions wait, its labels are joined, and
  labels that are old enough count for the alarm. So a label of the very minute of its prediction is joined, whichever
  was read first.
- A label counts for the alarm when its prediction is `mature_s` old. Where some outcomes are known sooner than others (a fraud
  is reported, its absence is only ever not reported), anything sooner would look at one kind of them.
- At most `rows_max` labelled rows wait for that, those with the lowest keys; the others are measured, and do not count for
  the alarm.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.grades import bin_numbers, hits_of
from models.performance import Performance
from monitoring.labels.ask import Ask
from monitoring.labels.cohorts import Cohorts, Head
from monitoring.labels.detector import DAY_MINUTES, WEEK_DAYS, Bets, Detector, Limits
from monitoring.labels.learning import Learning, main_losses
from monitoring.labels.promise import Promise
from monitoring.labels.recent import Recent
from monitoring.labels.rows import ROW, Rows
from monitoring.labels.waiting import Waiting
from monitoring.window import MINUTE_S, MINUTE_US

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# A labelled row that is not old enough yet to count for the alarm.
HELD = np.dtype([*ROW.descr, ("hit", "<f8")])


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRules:
    """What labels are held to; lengths in s, tolerance as a share of the reference's loss, `alpha`: false alarms in 30 days."""

    rows_max: int
    wait_s: int
    mature_s: int
    tolerance: float
    alpha: float


@dataclass(slots=True)
class Track:
    """Owned and changed by the book."""

    ask: Ask
    waiting: Waiting
    last_minute: int
    cohorts: Cohorts = field(default_factory=Cohorts)
    held: Rows = field(default_factory=lambda: np.empty(0, dtype=HELD))
    learning: Learning = field(default_factory=Learning)
    learnt: Performance | None = None
    detector: Detector = field(default_factory=Detector)
    recent: Recent = field(default_factory=Recent)
    _promise: Promise | None = None

    @property
    def reference(self) -> Performance | None:
        """What alarms hold losses against."""
        if self.ask.given is not None and self.ask.given.held_out:
            return self.ask.given
        return self.learnt

    @property
    def promise(self) -> Promise | None:
        """What the scores promise: by the reference, or by training's own rows until there is one."""
        best = self.reference or self.ask.given
        if self._promise is None and best is not None:
            self._promise = Promise.of(best)
        return self._promise

    def ask_again(self, ask: Ask) -> None:
        """A version's artefact was read late, or a person changed what is asked: what was learnt of another task is void."""
        if ask == self.ask:
            return
        if (ask.task, ask.edges, ask.scale) != (self.ask.task, self.ask.edges, self.ask.scale):
            self.cohorts, self.learning, self.learnt = Cohorts(), Learning(), None
            self.detector, self.recent = Detector(), Recent()
            self.waiting, self.held = Waiting(self.waiting.rows_max), np.empty(0, dtype=HELD)
        self.ask, self._promise = ask, None

    def expire(self, minute: int, rules: LabelRules) -> None:
        """Rows for which no label will be waited for any more."""
        self.waiting.rows_max = rules.rows_max
        gone = self.waiting.expire((minute + 1) * MINUTE_US - rules.wait_s * 1_000_000)
        self.cohorts.heads(Head.EXPIRED, gone, self.ask, minute)
        self.cohorts.advance(minute)

    def predict(self, minute: int, rows: Rows, unscored: int) -> None:
        """The minute's predictions, by key."""
        self.last_minute = max(self.last_minute, minute)
        self.cohorts.unscored(minute, unscored, self.ask)
        self.cohorts.predict(rows, self.ask, minute)
        entered, let_go = self.waiting.add(rows)
        self.cohorts.heads(Head.ENTERED, entered, self.ask, minute)
        self.cohorts.heads(Head.LET_GO, let_go, self.ask, minute)

    def settle(self, minute: int, places: npt.NDArray[np.intp], values: Floats, at_us: Times, misfit: Mask) -> int:
        """Labels that found their rows: the outcome of each, NaN where there is none; `misfit`: of
        these, those of another kind. Says how many labelled rows were let go and will not count for the alarm."""
        rows = self.waiting.settle(places, values)
        known = ~np.isnan(values)
        self.cohorts.heads(Head.UNKNOWABLE, rows[~known & ~misfit], self.ask, minute)
        self.cohorts.heads(Head.MISFIT, rows[misfit], self.ask, minute)
        rows, hits = rows[known], hits_of(self.ask.kind, rows["said"][known], values[known])
        if not len(rows):
            return 0
        self.cohorts.grade(rows, hits, at_us[known], self.ask, minute)
        held = np.empty(len(rows), dtype=HELD)
        for name in ROW.names or ():
            held[name] = rows[name]
        held["hit"] = hits
        held = np.concatenate([self.held, held])
        let_go = max(0, len(held) - self.waiting.rows_max)
        self.held = held[np.sort(np.argsort(held["key"], kind="stable")[: self.waiting.rows_max])] if let_go else held
        return let_go

    def count(self, minute: int, rules: LabelRules) -> bool:
        """Lets labels that are old enough count; says whether any did, or a week was over."""
        limits = self.limits(rules)
        mature = self.held["at_us"] < (minute + 1) * MINUTE_US - rules.mature_s * 1_000_000
        if not mature.any():
            return self.detector.close_week(minute + 1, limits)
        rows, self.held = self.held[mature], self.held[~mature]
        rows = rows[np.argsort(rows["key"], kind="stable")]
        losses = main_losses(rows, rows["hit"], self.ask)
        promise, reference = self.promise, self.reference
        bins = bin_numbers(self.ask.kind, self.ask.edges, rows["score"])
        if promise is not None and reference is not None:
            bets = Bets.of(promise, limits)
            self.detector.take(minute, losses, bins, rows["who"], bets, limits)
            self.recent.take(minute // DAY_MINUTES, losses, promise.loss[bins])
        else:
            self._learn(minute, rows)
        self.detector.close_week(minute + 1, limits)
        return True

    def limits(self, rules: LabelRules) -> Limits:
        """What is tolerated: what is set, or what weeks of training varied by, if that is more."""
        natural = () if self.reference is None else self.reference.natural
        weeks = [loss for length_s, loss, _ in natural if length_s >= WEEK_DAYS * DAY_MINUTES * MINUTE_S]
        return Limits(
            loss=max([rules.tolerance, *weeks]),
            estimate=max([rules.tolerance, *(beyond for _, _, beyond in natural)]),
            alpha=rules.alpha,
        )

    def next_change(self, rules: LabelRules) -> int | None:
        """The minute whose closing makes a held label count, or a week be over; None when there is neither."""
        changes = []
        if len(self.held):
            changes.append((int(self.held["at_us"].min()) + rules.mature_s * 1_000_000) // MINUTE_US)
        if self.detector.unseen:
            changes.append(self.detector.week_over - 1)
        return min(changes, default=None)

    def _learn(self, minute: int, rows: Rows) -> None:
        self.learning.take(minute, rows, rows["hit"], self.ask)
        self.learnt = self.learning.reference(minute, self.ask)
        if self.learnt is not None:
            self.learning, self._promise = Learning(), None
