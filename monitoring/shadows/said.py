"""What do the counts of a rival say: agreement, differences, latency, drift between the two, and the worst requests.

Laws
- Intervals are of requests, not of rows: rows of one request may be as alike as they like.
- The mean's interval is the normal one of a ratio of sums over requests, at 95 %.
- Drift is the total variation between the two sets of answers on the bins of training. Its interval holds for every
  distribution, at 95 %: one request moves the measured value by its share of the rows at most (McDiarmid 1989), and the
  measured value exceeds the true one, on average, by at most half the sum over bins of the standard deviations: by
  Cauchy-Schwarz half the root of 2 · bins · moved share / requests.
"""

from collections.abc import Mapping
from math import isfinite, log, sqrt

import msgspec
import numpy as np

from models.contract import Kind
from monitoring.reference import Reference
from monitoring.shadows.book import Book, Track, total_of
from monitoring.shadows.count import LATENCY_SCALE_US, STEPS, Counts, Worst, worst_of
from monitoring.shadows.layout import TOLERANCE, Head, Layout, Output, Part
from monitoring.shadows.room import Rival
from monitoring.shadows.spread import SIZE, quantile, size_quantile
from monitoring.window import MINUTE_S

Z_95 = 1.959964
ALPHA = 0.05


class Difference(msgspec.Struct, frozen=True):
    """Shadow less answer, in the unit of the output: quantiles, the mean with its interval, and quantiles of the size."""

    p05: float | None
    p50: float | None
    p95: float | None
    mean: float | None
    mean_low: float | None
    mean_high: float | None
    size_p50: float | None
    size_p90: float | None
    size_p99: float | None


class OutputSaid(msgspec.Struct, frozen=True, omit_defaults=True):
    """One output; shares of rows. `tolerance`: how far apart two numbers agree, absent where they must be equal."""

    output: str
    kind: str
    agreement: float | None
    equal: float | None
    unlike: int
    tolerance: float | None = None
    difference: Difference | None = None
    drift: float | None = None
    drift_low: float | None = None
    drift_high: float | None = None


class ShadowSaid(msgspec.Struct, frozen=True):
    """One version that answered and one shadow beside it, over the window; `not_compared`: outputs of the first."""

    model: str
    version: str
    version_digest: str
    shadow: str
    shadow_digest: str
    window_s: int
    covered_s: int
    requests: int
    rows: int
    failed: int
    misfit: int
    latency_ms: Mapping[str, float | None]
    outputs: tuple[OutputSaid, ...]
    not_compared: int
    worst: tuple[Mapping[str, object], ...]


class UnpairedSaid(msgspec.Struct, frozen=True):
    """Answers of a shadow that were compared with nothing, since the log began."""

    model: str
    shadow: str
    reason: str
    n: int


class ShadowsSaid(msgspec.Struct, frozen=True):
    """All of it."""

    compared: tuple[ShadowSaid, ...] = ()
    unpaired: tuple[UnpairedSaid, ...] = ()
    refused: int = 0
    forgotten: int = 0

    def of(self, model: str) -> "ShadowsSaid":
        """What is said of one model."""
        compared = tuple(one for one in self.compared if one.model == model)
        unpaired = tuple(one for one in self.unpaired if one.model == model)
        return msgspec.structs.replace(self, compared=compared, unpaired=unpaired)


def said(book: Book, closed: int, references: Mapping[str, Reference]) -> ShadowsSaid:
    """What the book says after the last closed minute."""
    compared = tuple(_compared(book, rival, track, closed, references) for rival, track in sorted(book.tracks.items()))
    unpaired = tuple(UnpairedSaid(*found, n) for found, n in sorted(book.unpaired.items()))
    return ShadowsSaid(compared, unpaired, book.refused, book.forgotten)


def _compared(book: Book, rival: Rival, track: Track, closed: int, references: Mapping[str, Reference]) -> ShadowSaid:
    given, shadow = book.schemas[rival.given_digest], book.schemas[rival.shadow_digest]
    reference = references.get(rival.given_digest) or Reference.of(given, None)
    layout = Layout.of(reference, given, shadow)
    total = total_of(track, layout)
    latency = total[Head.LATENCY : Head.LATENCY + SIZE]
    worst = worst_of([one for held in track.worst.values() for one in held])
    return ShadowSaid(
        *rival,
        window_s=track.ring.span.window_minutes * MINUTE_S,
        covered_s=track.ring.covered_minutes(max(closed, track.last_minute)) * MINUTE_S,
        requests=int(total[Head.REQUESTS]),
        rows=int(total[Head.ROWS]),
        failed=int(total[Head.FAILED]),
        misfit=int(total[Head.MISFIT]),
        latency_ms={
            f"p{round(100 * q):02}": _times(quantile(latency, q), LATENCY_SCALE_US / 1000)
            for q in (0.05, 0.5, 0.95, 0.99)
        },
        outputs=tuple(_output(output, total, reference) for output in layout.outputs),
        not_compared=layout.left_out,
        worst=tuple(_worst(one, {output.name: output for output in layout.outputs}) for one in worst),
    )


def _output(output: Output, total: Counts, reference: Reference) -> OutputSaid:
    part, rows = total[output.start : output.end], int(total[Head.ROWS])
    drift: tuple[float | None, float | None, float | None] = (None, None, None)
    if rows and any(reference.columns[reference.features + output.given].counts):
        drift = _drift(total[output.bins_start : output.end].reshape(2, output.bins), int(part[Part.MOVED]), total)
    return OutputSaid(
        output=output.name,
        kind=output.kind.value,
        agreement=int(part[Part.AGREE]) / rows if rows else None,
        equal=int(part[Part.EQUAL]) / rows if rows else None,
        unlike=int(part[Part.UNLIKE]),
        tolerance=None if output.scale is None else _round(TOLERANCE * output.scale),
        difference=_difference(output, part, total) if output.kind is Kind.FLOAT else None,
        drift=drift[0],
        drift_low=drift[1],
        drift_high=drift[2],
    )


def _difference(output: Output, part: Counts, total: Counts) -> Difference:
    scale, counts = output.scale or 1.0, part[Part.SPREAD : Part.SPREAD + SIZE]
    quantiles = [_times(quantile(counts, q), scale) for q in (0.05, 0.5, 0.95)]
    sizes = [_times(size_quantile(counts, q), scale) for q in (0.5, 0.9, 0.99)]
    means = [_times(value, scale / STEPS) for value in _mean(part, total)]
    return Difference(*quantiles, *means, *sizes)


def _mean(part: Counts, total: Counts) -> tuple[float | None, float | None, float | None]:
    """In steps of the scale, with the interval; a request with no finite difference counts as none."""
    n, rows = int(total[Head.REQUESTS]), int(total[Head.ROWS])
    if not rows:
        return None, None, None
    mean = int(part[Part.SUM]) / rows
    if n < 2:
        return mean, None, None
    squares = int(part[Part.SUM_SQUARED]) - 2 * mean * int(part[Part.SUM_TIMES_ROWS])
    squares += mean**2 * int(total[Head.ROWS_SQUARED])
    half = Z_95 * sqrt(max(0.0, squares) * n / (n - 1)) / rows
    return mean, mean - half, mean + half


def _drift(bins: Counts, moved: int, total: Counts) -> tuple[float, float, float]:
    """bins: shape (2, k)."""
    rows = int(total[Head.ROWS])
    found = float(np.abs(bins[0] - bins[1]).sum()) / (2 * rows)
    a_request = int(total[Head.ROWS_SQUARED]) / rows**2
    filled = int(np.count_nonzero(bins.sum(axis=0)))
    sway = sqrt(log(2 / ALPHA) / 2 * a_request)
    excess = sqrt(2 * filled * moved / rows * a_request) / 2
    return _round(found), _round(max(0.0, found - excess - sway)), _round(min(1.0, found + sway))


def _worst(one: Worst, outputs: Mapping[str, Output]) -> dict[str, object]:
    output = outputs.get(one.output)
    number = output is not None and output.kind is Kind.FLOAT and isfinite(one.distance)
    scale = 1.0 if output is None else output.scale or 1.0
    return {
        "request_id": one.request_id,
        "row": one.row,
        "at_us": one.at_us,
        "output": one.output,
        "given": _plain(one.given),
        "shadow": _plain(one.shadow),
        "difference": _round(one.distance * scale) if number else None,
    }


def _plain(value: object) -> object:
    """As JSON can say it."""
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def _times(value: float | None, scale: float) -> float | None:
    return None if value is None else _round(value * scale)


def _round(value: float) -> float:
    """Six significant digits: more are noise, and differ between processors."""
    return float(f"{value:.6g}")
