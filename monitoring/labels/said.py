"""What is told of labels: what became of them, how good each version was by when it predicted, and how good it probably is.

Law: a status is built from the book and never changes it.
"""

from collections.abc import Mapping

import msgspec
import numpy as np

from models.task import Asked
from monitoring.labels.ask import Ask, Missing, ask_of
from monitoring.labels.book import COUNTERS, Book, Subject
from monitoring.labels.cohorts import DELAYS, GRADES, WINDOWS_S, Counts, Head, delay_s
from monitoring.labels.learning import ROWS
from monitoring.labels.measures import Measure, measures_of
from monitoring.labels.rise import Rise, rise_of
from monitoring.labels.track import LabelRules, Track
from monitoring.reference import Reference

QUANTILES = (0.1, 0.5, 0.9)


class WindowSaid(msgspec.Struct, frozen=True):
    """Predictions of one window of prediction time, as far as it was held, and what their labels say by now.

    `rows`: answered; `waited`: of these, those that a label was waited for, without those let go for lack of room;
    `labelled_share`: of these; `delay_s`: quantiles of the time from the answer to the label, of the labels that came.
    """

    window_s: int
    rows: int
    waited: int
    labelled: int
    unknowable: int
    expired: int
    misfit: int
    unscored: int
    let_go: int
    labelled_share: float | None
    delay_s: Mapping[str, float | None]
    measures: tuple[Measure, ...]


class VersionLabels(msgspec.Struct, frozen=True):
    """One version. `reference`: what its losses are held against: `held_out` rows that came with it, or `production`:
    its own first labelled ones, or `learning`; `estimate_from`: what its estimates stand on, `training` where the rows
    may flatter; `rise`: what the gate of retrainings is told.
    """

    model: str
    version: str
    digest: str
    task: str
    output: str
    positive: str | None
    reference: str
    reference_rows: int
    reference_rows_needed: int
    reference_loss: float | None
    estimate_from: str | None
    tolerance_loss: float
    tolerance_estimate: float
    alarm_loss: bool
    alarm_estimate: bool
    evidence_loss: float | None
    evidence_estimate: float | None
    evidence_needed_loss: float
    evidence_needed_estimate: float
    waiting: int
    rise: Rise
    windows: tuple[WindowSaid, ...]


class NotAsked(msgspec.Struct, frozen=True):
    """A version whose labels are not looked at, and why."""

    model: str
    version: str
    digest: str
    why: str


class LabelsSaid(msgspec.Struct, frozen=True):
    """All of it; `counters`: what became of every label that was sent."""

    versions: tuple[VersionLabels, ...] = ()
    not_asked: tuple[NotAsked, ...] = ()
    counters: Mapping[str, int] = {}

    def of(self, model: str) -> "LabelsSaid":
        """Those of one model; the counters are of all."""
        return LabelsSaid(
            tuple(one for one in self.versions if one.model == model),
            tuple(one for one in self.not_asked if one.model == model),
            self.counters,
        )


def said(
    book: Book,
    closed: int,
    rules: Mapping[str, LabelRules],
    counted: Mapping[Subject, Reference],
    asked: Mapping[str, Asked],
    n_min: int,
) -> LabelsSaid:
    """What there is to say when the minute `closed` was the last one; `counted`: the versions that traffic came for, `n_min`:
    labelled rows that a loss is told from.
    """
    versions = tuple(
        _version(subject, track, closed, rules[subject.model], n_min) for subject, track in sorted(book.tracks.items())
    )
    missing = [
        (subject, ask_of(reference, asked.get(subject.model)))
        for subject, reference in sorted(counted.items(), key=lambda item: item[0])
    ]
    return LabelsSaid(
        versions=versions,
        not_asked=tuple(NotAsked(*subject, why.value) for subject, why in missing if isinstance(why, Missing)),
        counters={name: book.counters[name] for name in COUNTERS},
    )


def _version(subject: Subject, track: Track, closed: int, rules: LabelRules, n_min: int) -> VersionLabels:
    limits, promise, reference = track.limits(rules), track.promise, track.reference
    of_loss, of_estimate = track.detector.evidence
    ask = track.ask
    return VersionLabels(
        *subject,
        task=ask.kind.value,
        output=ask.task.output,
        positive=ask.task.classes[1] if len(ask.task.classes) == 2 else None,
        reference="learning" if reference is None else "held_out" if reference is ask.given else "production",
        reference_rows=track.learning.rows if reference is None else reference.rows,
        reference_rows_needed=ROWS,
        reference_loss=None if promise is None else _round(promise.mean * ask.scale),
        estimate_from=None if promise is None else "training" if reference is None else "reference",
        tolerance_loss=limits.loss,
        tolerance_estimate=limits.estimate,
        alarm_loss=track.detector.loss_standing,
        alarm_estimate=track.detector.estimate_standing,
        evidence_loss=_finite(of_loss),
        evidence_estimate=_finite(of_estimate),
        evidence_needed_loss=_round(limits.threshold_of_loss),
        evidence_needed_estimate=_round(limits.threshold),
        waiting=len(track.waiting.rows),
        rise=rise_of(track, closed, rules, n_min),
        windows=tuple(_window(track, window_s, closed, ask) for window_s in WINDOWS_S),
    )


def _window(track: Track, window_s: int, closed: int, ask: Ask) -> WindowSaid:
    vector = track.cohorts.window(window_s, closed, ask)
    waited = int(vector[Head.ENTERED] - vector[Head.LET_GO])
    labelled = int(vector[Head.LABELLED])
    return WindowSaid(
        window_s=window_s,
        rows=int(vector[Head.ROWS]),
        waited=waited,
        labelled=labelled,
        unknowable=int(vector[Head.UNKNOWABLE]),
        expired=int(vector[Head.EXPIRED]),
        misfit=int(vector[Head.MISFIT]),
        unscored=int(vector[Head.UNSCORED]),
        let_go=int(vector[Head.LET_GO]),
        labelled_share=_round(labelled / waited) if waited else None,
        delay_s={f"p{round(100 * q)}": _delay(vector, q) for q in QUANTILES},
        measures=measures_of(ask.kind, vector, track.promise, ask.scale, track.cohorts.ranks_of(window_s, closed)),
    )


def _delay(vector: Counts, q: float) -> float | None:
    """Within the width of a bucket, 19 %."""
    counts = vector[DELAYS:GRADES]
    total = int(counts.sum())
    if not total:
        return None
    return _round(delay_s(int(np.searchsorted(np.cumsum(counts), q * total)) + 0.5))


def _finite(value: float) -> float | None:
    return _round(value) if value > float("-inf") else None


def _round(value: float) -> float:
    """Six significant digits: more are noise, and differ between processors."""
    return float(f"{value:.6g}")
