"""What does a change of a column of numbers look like? A catalogue of what can be done to values, each tried and measured.

Laws
- Every entry is done to the values that the column should hold, and what comes of it is held against those that came: that is
  the same as undoing it, and can also be done for what cannot be undone (a limit, a step, a share of the rows).
- Named factors are tried as they are and never adjusted; only an entry without a name has a number that is fitted.
"""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from monitoring.explain.fit import Candidate, Fit, choose, cost, fit
from monitoring.explain.looks import (
    AnyLook,
    Clipped,
    Frozen,
    Negated,
    Offset,
    Rounded,
    Scaled,
    Shifted,
    Spread,
    Stretched,
    Temperature,
    Unit,
    Unrecognised,
)
from monitoring.explain.target import Target, counted
from monitoring.explain.undo import affine

# Powers of ten, and minutes, hours and days for seconds, minutes and hours: each at least 1.6 times from the next. Miles and
# pounds are not among them, a shift of half a σ comes to 1.6 as well; nor days for seconds, next to 10⁵.
FACTORS = tuple(sorted({10.0**p for p in range(-9, 10) if p} | {f**s for f in (24.0, 60.0, 3600.0) for s in (1, -1)}))
ROWS_MIN = 15  # of the sample; fewer fit anything
SHARES = np.arange(0.02, 0.985, 0.02)  # of the rows that are hit
FROZEN_SHARE = 0.97  # from it on the other rows are told as an exception, not as a share
STEPS = tuple(sorted((m * 10.0**p for m, p in product((1, 2, 5), range(-6, 7))), reverse=True))
# Values of wrong factors are no multiples of a cent: where they are, that is worth more than what bins tell of 30 rows.
ON_GRID, GRID_WORTH = 0.97, 25.0
_NAMED = Unit | Temperature | Negated
NAMED_APART = (
    9.2  # in G, between a name and the next that would also do: chance makes it so in 1 of 100 with two at hand
)
TIES = 6.6  # a factor and an offset this close in G are not told apart: χ²(1) at 1 %

Floats = npt.NDArray[np.float64]


def recognise_numbers(values: Floats, target: Target, sigma: float) -> tuple[AnyLook, Fit]:
    """What the values look like beside the target, and how they fit as they came; values: shape (n,), finite."""
    seen = np.sort(values)
    came = fit(target.expected, counted(seen, target.edges), target.rows, range_known=True)
    if seen.size < ROWS_MIN:
        return Unrecognised(rows=seen.size), came
    with np.errstate(over="ignore", invalid="ignore"):  # an edge beyond the range of a double has nothing above it
        found = [*_named(seen, target), *_frozen(seen, target), *_limits(seen, target), *_steps(seen, target)]
        found += _fitted(seen, target, sigma)
    best = choose(found, came)
    if best is None:
        return Unrecognised(rows=seen.size), came
    return _told_apart(best, found, came), came


def moved(values: Floats, target: Target) -> Fit:
    """How values fit as they came."""
    return fit(target.expected, counted(np.sort(values), target.edges), target.rows, range_known=True)


def _affine(seen: Floats, target: Target, factor: float, by: float) -> Fit:
    """The fit of `factor` × the right value + `by`."""
    edges, expected = factor * target.edges + by, target.expected
    if factor < 0:
        edges, expected = edges[::-1], expected[::-1]
    return fit(expected, counted(seen, edges), target.rows, range_known=True)


def _named(seen: Floats, target: Target) -> Iterator[Candidate]:
    grid = _grid(target)
    for look in _WHOLE:
        factor, by = affine(look) or (1.0, 0.0)
        straight = _affine(seen, target, factor, by)
        if grid and _on_grid(seen / factor, target, grid):
            straight = straight._replace(g=straight.g - GRID_WORTH)
        yield Candidate(look, 0, straight)
        share, mixed = _mixture(seen, target, factor, by)
        yield Candidate(replace(look, share=share), 1, mixed)


_WHOLE: tuple[AnyLook, ...] = (
    *(Unit(factor=factor) for factor in FACTORS),
    Temperature(came="°F", expected="°C"),
    Temperature(came="°C", expected="°F"),
    Negated(),
)


def _grid(target: Target) -> float | None:
    """The step that the values of a column are multiples of: cents, tenths of a minute, whole days."""
    return next((step for step in STEPS if _on(target.values, step) > ON_GRID), None) if target.seen else None


def _on_grid(back: Floats, target: Target, grid: float) -> bool:
    """Are values that were put back multiples of the step again, and of no coarser one?"""
    return _on(back, grid) > ON_GRID and all(
        _on(back, grid * times) <= ON_GRID or _on(target.values, grid * times) > 0.5 for times in (2, 5, 10)
    )


def _mixture(seen: Floats, target: Target, factor: float, by: float) -> tuple[float, Fit]:
    """The likeliest share of rows that are hit, and the fit with it."""
    edges = np.unique(np.concatenate([target.edges, factor * target.edges + by]))
    done = factor * target.values + by
    kept, hit = target.counts(edges), counted(done if factor > 0 else done[::-1], edges)
    here = counted(seen, edges)
    mixed = (1 - SHARES[:, None]) * kept + SHARES[:, None] * hit + 0.5
    likely = (np.log(mixed / mixed.sum(axis=1, keepdims=True)) * here).sum(axis=1)
    best = int(np.argmax(likely))
    return float(round(SHARES[best], 2)), fit(mixed[best] - 0.5, here, target.rows, range_known=True)


def _frozen(seen: Floats, target: Target) -> Iterator[Candidate]:
    values, counts = np.unique(seen, return_counts=True)
    most = int(np.argmax(counts))
    value, share = float(values[most]), float(counts[most] / seen.size)
    before = float((np.abs(target.values - value) <= 1e-9 * abs(value)).mean()) if target.seen else 0.0
    excess = (share - before) / max(1e-9, 1 - before)
    if counts[most] < ROWS_MIN // 2 or excess < 0.1:
        return
    others = seen[seen != value]
    rest = fit(target.expected, counted(others, target.edges), target.rows, range_known=True)
    if share >= FROZEN_SHARE or others.size < ROWS_MIN:
        yield Candidate(Frozen(value=f"{value:g}"), 0, Fit(0.0, 1, rest.n))
    elif target.seen or counts[most] > 2 * _bin_rows(seen, target, value):
        yield Candidate(Frozen(value=f"{value:g}", share=round(excess, 2)), 1, rest)


def _bin_rows(seen: Floats, target: Target, value: float) -> float:
    """Rows that the bin of a value should hold: more than that cannot have been at the value itself at training."""
    expected = target.expected
    return float(expected[int(np.searchsorted(target.edges, value, side="right"))] / expected.sum() * seen.size)


def _limits(seen: Floats, target: Target) -> Iterator[Candidate]:
    for end, at, beyond in (
        ("above", seen[-1], target.values >= seen[-1]),
        ("below", seen[0], target.values <= seen[0]),
    ):
        there, should = float((seen == at).mean()), float(beyond.mean())
        if should < 0.02 or there < should / 2 or there * seen.size < 5:
            continue
        inside = target.edges[target.edges < at] if end == "above" else target.edges[target.edges > at]
        step = np.nextafter(at, np.inf) if end == "below" else at
        edges = np.sort(np.append(inside, step))
        yield Candidate(
            Clipped(at=float(at), end=end, share=round(should, 3)),
            1,
            fit(target.counts(edges), counted(seen, edges), target.rows),
        )


def _steps(seen: Floats, target: Target) -> Iterator[Candidate]:
    if not target.seen:
        return
    step = next((step for step in STEPS if _on(seen, step) == 1.0), None)
    if step is None or _on(target.values, step) > 0.5 or np.unique(seen).size < 3:
        return
    for rounded in (np.round(target.values / step) * step, np.floor(target.values / step) * step):
        edges = np.unique(rounded) - step / 2
        yield Candidate(Rounded(step=step), 1, fit(counted(np.sort(rounded), edges), counted(seen, edges), target.rows))


def _on(values: Floats, step: float) -> float:
    places = values / step
    return float((np.abs(places - np.round(places)) < 1e-6).mean())


def _fitted(seen: Floats, target: Target, sigma: float) -> list[Candidate]:
    """The entries with numbers of their own: found by trying, from coarse to fine."""
    width, middle = target.width, target.middle
    wide = float(np.subtract(*np.quantile(seen, [0.75, 0.25])))
    here = float(np.median(seen))
    mean, sigma = target.mean, sigma or target.sigma
    if min(width, wide, sigma) <= 0 or not 0 < wide / width < np.inf:
        return []
    starts = [wide / width] + ([here / middle] if here * middle > 0 else [])
    scale = min((_scale(seen, target, start) for start in starts), key=lambda found: found[1].g)
    by = _best(lambda by: _affine(seen, target, 1.0, by), here - middle, wide)
    spread = _log_best(lambda a: _affine(seen, target, a, middle * (1 - a)), wide / width)
    factor = wide / width
    both = _best(lambda by: _affine(seen, target, factor, by), here - factor * middle, wide)
    factor, _ = _log_best(lambda a: _affine(seen, target, a, both[0] + (factor - a) * middle), factor)
    both = _best(lambda by: _affine(seen, target, factor, by), here - factor * middle, wide)
    return [
        Candidate(Scaled(factor=_short(scale[0]), shift=_short(mean * (scale[0] - 1) / sigma)), 1, scale[1]),
        Candidate(Offset(by=_short(by[0]), shift=_short(by[0] / sigma)), 1, by[1]),
        Candidate(Spread(factor=_short(spread[0])), 1, spread[1]),
        Candidate(Stretched(factor=_short(factor), by=_short(both[0])), 2, both[1]),
    ]


def _scale(seen: Floats, target: Target, start: float) -> tuple[float, Fit]:
    return _log_best(lambda factor: _affine(seen, target, factor, 0.0), start)


def _log_best(at: Callable[[float], Fit], start: float) -> tuple[float, Fit]:
    best, found = _best(lambda log: at(float(np.exp(log))), float(np.log(start)), 1.4)
    return float(np.exp(best)), found


def _best(at: Callable[[float], Fit], start: float, reach: float) -> tuple[float, Fit]:
    """The number within `reach` of `start` that fits best: 41 tried, then 11 around the best, twice."""
    best = (start, at(start))
    for steps, part in ((20, 0.5), (5, 0.025), (5, 0.005)):
        around = best[0]
        for i in range(-steps, steps + 1):
            number = around + i / steps * reach * part
            found = at(number)
            if found.g < best[1].g:
                best = (number, found)
    return best


def _short(value: float) -> float:
    """Three digits: what a few hundred rows tell."""
    return float(f"{value:.3g}")


def _told_apart(best: Candidate, found: list[Candidate], came: Fit) -> AnyLook:
    """What cannot be told from another entry is not called by either's name.

    A factor and an offset that fit alike are a shift; of two units that fit alike neither is named, but the factor told.
    """
    rivals = [
        one for one in found if one is not best and cost(one) < cost(best) + NAMED_APART and choose([one], came) is one
    ]
    match best.look:
        case Scaled() | Offset():
            near = [one for one in rivals if isinstance(one.look, Scaled | Offset) and cost(one) < cost(best) + TIES]
            return Shifted(shift=best.look.shift) if near else best.look
        case Unit() | Temperature() | Negated():
            others = [one for one in rivals if affine(one.look) != affine(best.look) and isinstance(one.look, _NAMED)]
            scaled = [one.look for one in found if isinstance(one.look, Scaled) and choose([one], came) is one]
            if not others:
                return best.look
            return scaled[0] if scaled else Unrecognised(rows=int(best.fit.n))
        case _:
            return best.look


def hit(look: AnyLook, values: Floats, target: Target) -> npt.NDArray[np.bool_]:
    """Which of the values were changed, as far as a value tells: all of them unless the look is of a share of the rows."""
    if isinstance(look, Frozen):
        with np.errstate(over="ignore"):
            return np.asarray(np.abs(values - float(look.value)) <= 1e-5 * np.abs(values))
    pair = affine(look)
    if pair is None or look.share >= FROZEN_SHARE:
        return np.ones(values.size, dtype=np.bool_)
    factor, by = pair
    edges = np.unique(np.concatenate([target.edges, factor * target.edges + by]))
    changed = counted(np.sort(factor * target.values + by), edges) * look.share
    left = target.counts(edges) * (1 - look.share)
    return np.asarray((changed > left)[np.searchsorted(edges, values, side="right")])
