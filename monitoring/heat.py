"""How far is every column from training in every window: a version's drift as a table, columns down and windows across.

Law: a table is a function of what was last judged; it is made when somebody asks. A cell without a number is a window that has
too few rows, or none to compare with, never one without drift.
"""

from collections.abc import Sequence

import msgspec

from monitoring.judge import Look
from monitoring.verdict import Drifted, NoBaseline, Stable, TooFewSamples, word_of


class HeatCell(msgspec.Struct, frozen=True, array_like=True):
    """Rows, verdict, and in PSI the effect, its lower bound and what is tolerated; None where there is no number."""

    n: int
    verdict: str
    effect: float | None = None
    lower_bound: float | None = None
    tolerance: float | None = None


class HeatRow(msgspec.Struct, frozen=True):
    """One column; a cell a window, in the order of the windows."""

    side: str
    column: str
    kind: str
    cells: tuple[HeatCell, ...]


class HeatMap(msgspec.Struct, frozen=True):
    """One version; `covered_s`: how far each window reaches back by now, before `judged_s` since the Unix epoch."""

    model: str
    version: str
    digest: str
    judged_s: int
    windows_s: tuple[int, ...]
    covered_s: tuple[int, ...]
    rows: tuple[HeatRow, ...]


def heat_rows(looks: Sequence[Look]) -> tuple[HeatRow, ...]:
    """The table of exact looks at the windows of one version, shortest first."""
    if not looks:
        return ()
    reference = looks[0].reference
    return tuple(
        HeatRow(reference.side(j), column.name, column.kind.value, tuple(_cell(look, j) for look in looks))
        for j, column in enumerate(reference.columns)
    )


def _cell(look: Look, j: int) -> HeatCell:
    verdict = look.drift_of(j).verdict
    word = word_of(verdict)
    match verdict:
        case Stable() | Drifted():
            return HeatCell(
                verdict.n, word, _round(verdict.effect), _round(verdict.lower_bound), _round(verdict.tolerance)
            )
        case TooFewSamples(have, _):
            return HeatCell(have, word)
        case NoBaseline(n):
            return HeatCell(n, word)


def _round(value: float) -> float:
    """Four significant digits: a cell shows three."""
    return float(f"{value:.4g}")
