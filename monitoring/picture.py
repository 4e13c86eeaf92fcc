"""What does a version's window look like beside training: both histograms of every column, and how far apart they are.

Law: a picture is a function of one window's counts and its baseline; it is made when somebody asks, from what was last judged.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from monitoring.effects import Effects, effects
from monitoring.explain.story import Story
from monitoring.heat import HeatMap, heat_rows
from monitoring.judge import Look, look
from monitoring.rules import Rules
from monitoring.state import Judged, State, Version
from monitoring.verdict import Drifted, Stable, word_of
from monitoring.window import MINUTE_S
from service.featurelog.record import Schema

Counts = npt.NDArray[np.int64]


class ColumnPicture(msgspec.Struct, frozen=True):
    """One column: what the look came to, and the counts of both by bin; empty bins of both are left out."""

    side: str
    column: str
    kind: str
    verdict: str
    n: int
    effects: Effects | None
    tolerance_psi: float | None
    p_value: float | None
    labels: tuple[str, ...]
    baseline: tuple[int, ...]
    window: tuple[int, ...]


class Picture(msgspec.Struct, frozen=True):
    """One window of one version; times in seconds since the Unix epoch, `windows_s` are the lengths there are."""

    model: str
    version: str
    digest: str
    window_s: int
    from_s: int
    to_s: int
    windows_s: tuple[int, ...]
    columns: tuple[ColumnPicture, ...]


class Gallery:
    """The pictures that can be asked for; holds what was last judged, which never changes."""

    def __init__(
        self,
        judged: Mapping[Version, Judged],
        versions: Mapping[str, int],
        rules: Rules,
        stories: Mapping[Version, tuple[Story, Schema]] | None = None,
    ) -> None:
        self._judged, self._versions, self._rules = dict(judged), dict(versions), rules
        self._stories = dict(stories or {})

    def story(self, model: str, version: str | None) -> tuple[Story, Schema] | None:
        """That of the open incident of the newest version of that name, and its columns. None where there is none."""
        chosen = self._newest(model, version)
        return None if chosen is None else self._stories.get(chosen)

    def picture(
        self, model: str, version: str | None, window_s: int | None, column: str | None = None
    ) -> Picture | None:
        """The newest version of that name, or of the model; the shortest window that has rows enough, unless one is named; all
        columns, or those of one name. None where there is none.
        """
        chosen = self._newest(model, version)
        looks = [] if chosen is None else self._looks(chosen, window_s)
        if chosen is None or not looks:
            return None
        told = next((one for one in looks if one.drift.measured.any()), looks[-1])
        judged = self._judged[chosen]
        return _picture(chosen, judged, told, sorted(judged.windows), column)

    def heat(self, model: str, version: str | None) -> HeatMap | None:
        """All windows of the newest version of that name, or of the model. None where there is none."""
        chosen = self._newest(model, version)
        looks = [] if chosen is None else self._looks(chosen, None)
        if chosen is None or not looks:
            return None
        return HeatMap(
            model=chosen.model,
            version=chosen.version,
            digest=chosen.digest,
            judged_s=(self._judged[chosen].minute + 1) * MINUTE_S,
            windows_s=tuple(one.window.scale.window_s for one in looks),
            covered_s=tuple(one.window.covered_s for one in looks),
            rows=heat_rows(looks),
        )

    def _newest(self, model: str, version: str | None) -> Version | None:
        named = [v for v in self._judged if v.model == model and version in (None, v.version)]
        return max(named, key=lambda v: (self._judged[v].minute, v), default=None)

    def _looks(self, version: Version, window_s: int | None) -> list[Look]:
        """Shortest window first."""
        judged = self._judged[version]
        windows = [w for w in judged.windows.values() if w.counts.size == judged.reference.size]
        asked = sorted((w for w in windows if window_s in (None, w.scale.window_s)), key=lambda w: w.scale.window_s)
        versions = self._versions.get(version.model, 1)
        return look(judged.reference, asked, self._rules, model=version.model, versions=versions)


NOTHING = Gallery({}, {}, Rules())


def gallery_of(state: State, rules: Rules) -> Gallery:
    """The pictures of what was last judged."""
    stories = {
        Version(*of): (story, state.schemas[of[2]])
        for of, story in state.samples.stories.items()
        if of[2] in state.schemas
    }
    versions = {version.model: state.versions_of(version.model) for version in state.judged}
    return Gallery(state.judged, versions, rules, stories)


def _picture(version: Version, judged: Judged, told: Look, lengths: Sequence[int], column: str | None) -> Picture:
    scale = told.window.scale
    expected = told.reference.expected(told.window.counts[None, :])[0]
    end = scale.last_minute(judged.minute) + 1
    return Picture(
        model=version.model,
        version=version.version,
        digest=version.digest,
        window_s=scale.window_s,
        from_s=end * MINUTE_S - told.window.covered_s,
        to_s=end * MINUTE_S,
        windows_s=tuple(lengths),
        columns=tuple(
            _column(told, expected, j)
            for j, one in enumerate(told.reference.columns)
            if column is None or one.name == column
        ),
    )


def _column(told: Look, expected: Counts, j: int) -> ColumnPicture:
    reference, finding = told.reference, told.drift_of(j)
    column = reference.columns[j]
    base, now = reference.bins(expected, j).tolist(), reference.bins(told.window.counts, j).tolist()
    filled = [i for i, (a, b) in enumerate(zip(base, now, strict=True)) if a or b]
    labels = column.labels()
    seen = finding.verdict if isinstance(finding.verdict, Stable | Drifted) else None
    return ColumnPicture(
        side=finding.check.side,
        column=column.name,
        kind=column.kind.value,
        verdict=word_of(finding.verdict),
        n=int(told.drift.found.n[j]),
        effects=None if seen is None else effects(reference, j, told.window.counts, seen.statistic, seen.df),
        tolerance_psi=None if seen is None else seen.tolerance,
        p_value=None if seen is None else seen.p_value,
        labels=tuple(labels[i] for i in filled),
        baseline=tuple(base[i] for i in filled),
        window=tuple(now[i] for i in filled),
    )
