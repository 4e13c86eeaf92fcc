"""How often do labels raise a false alarm, and how many labelled rows does a true one take? `python -m tests.promises.labels`

Simulated: labelled rows come in batches of a few hours with a daily wave; what is predicted has seasons of a day and of
a week, and where its level is high losses are larger. The reference is drawn from eight weeks of the same, with their
times, so that tolerances are learnt as `models add --validation … --time …` learns them. Each run has a reference of its
own, as versions have.

    python -m tests.promises.labels quiet binary     1 000 months in which nothing changes
    python -m tests.promises.labels rising number    losses that rise by 10, 25 and 50 %, 20 runs each
    python -m tests.promises.labels estimate         estimates beside what labels say, where cases became harder or easier
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.grades import Loss, bin_numbers, bins_of, graded, losses, predicted
from models.performance import Performance
from models.task import Task, TaskKind
from monitoring.labels.detector import Bets, Detector, Limits
from monitoring.labels.promise import Promise

ALPHA, TOLERANCE = 0.1, 0.03
WEEKS_OF_REFERENCE, REFERENCE_ROWS_QUIET, REFERENCE_ROWS_RISING = 8, 20_000, 100_000
MONTH_H, QUIET_MONTHS, QUIET_RUNS, RISING_RUNS = 720, 10, 100, 20
RISES = (0.1, 0.25, 0.5)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """What is predicted and what comes true at hours of time; `changed`: 0 as at training."""

    kind: TaskKind
    edges: tuple[float, ...]
    scale: float

    @classmethod
    def of(cls, kind: TaskKind) -> "World":
        if kind is not TaskKind.NUMBER:
            return cls(kind, (), 1.0)
        said, _ = cls(kind, (), 1.0).rows(50_000, np.random.default_rng(0), np.linspace(0, 168, 50_000))
        return cls(kind, tuple(np.quantile(said, np.arange(1, 10) / 10).tolist()), float(said.std()))

    def rows(
        self, n: int, rng: np.random.Generator, hours: Floats | float, changed: float = 0.0
    ) -> tuple[Floats, Floats]:
        level = 0.5 * np.sin(2 * np.pi * hours / 24) + 0.3 * np.sin(2 * np.pi * hours / 168)
        if self.kind is TaskKind.NUMBER:
            said = rng.normal(level, 1.0, n)
            return said, said + rng.normal(size=n) * 0.4 * np.exp(0.2 * said) * (1 + changed)
        odds = rng.normal(-3 + level, 1.3, n)
        return 1 / (1 + np.exp(-odds)), (rng.uniform(size=n) < 1 / (1 + np.exp(-odds - changed))).astype(np.float64)

    def reference(self, rows: int, rng: np.random.Generator) -> Performance:
        hours = rng.uniform(0, 168 * WEEKS_OF_REFERENCE, 4 * rows)
        hours = np.sort(
            hours[rng.uniform(0, 1.6, 4 * rows) < 1 + 0.6 * np.sin(2 * np.pi * hours / 24)][:rows]
        )  # as wave has it
        said, true = self.rows(rows, rng, hours)
        blocks = [(length_s, (hours * 3600 // length_s).astype(np.intp)) for length_s in (3600, 86_400, 604_800)]
        classes = ("0", "1") if self.kind is TaskKind.BINARY else ()
        task = Task(kind=self.kind, output="y", classes=classes)
        return Performance.of(task, said, true, held_out=True, edges=self.edges, scale=self.scale, blocks=blocks)

    def main(self, said: Floats, true: Floats) -> Floats:
        found: Floats = losses(self.kind, said, true, self.scale)[Loss.MAIN]
        return found


class Watched:
    """A version whose labels come."""

    def __init__(self, world: World, reference: Performance) -> None:
        self.world, self.detector = world, Detector()
        weeks = [loss for length_s, loss, _ in reference.natural if length_s >= 604_800]
        beyond = [apart for _, _, apart in reference.natural]
        self.limits = Limits(loss=max([TOLERANCE, *weeks]), estimate=max([TOLERANCE, *beyond]), alpha=ALPHA)
        self.bets = Bets.of(Promise.of(reference), self.limits)

    def come(self, hour: int, until: int, said: Floats, true: Floats) -> tuple[bool, bool]:
        """A batch of labels; says which alarms stand."""
        bins = bin_numbers(self.world.kind, self.world.edges, said)
        who = np.arange(len(said)).astype(np.uint64)
        self.detector.take(hour * 60, self.world.main(said, true), bins, who, self.bets, self.limits)
        self.detector.close_week(until * 60, self.limits)
        return self.detector.loss_standing, self.detector.estimate_standing


def wave(hour: int, mean: int, rng: np.random.Generator) -> int:
    """How many labelled rows come."""
    return max(1, int(rng.poisson(mean * (1 + 0.6 * np.sin(2 * np.pi * hour / 24)))))


def quiet(world: World, step_h: int = 4, rows: int = 120) -> None:
    raised = {"loss": 0, "estimate": 0}
    for seed in range(QUIET_RUNS):
        rng = np.random.default_rng(seed)
        watched, before = Watched(world, world.reference(REFERENCE_ROWS_QUIET, rng)), (False, False)
        for hour in range(0, MONTH_H * QUIET_MONTHS, step_h):
            now = watched.come(hour, hour + step_h, *world.rows(wave(hour, rows, rng), rng, hour))
            for name, was, stands in zip(raised, before, now, strict=True):
                raised[name] += stands and not was
            before = now
    months = QUIET_RUNS * QUIET_MONTHS
    print(
        f"{world.kind}: {months} months, alarms {raised}, {sum(raised.values()) / months:.4f} in 30 days, allowed {ALPHA}"
    )


def rising(world: World, rows: int = 200, before_h: int = 14 * 24, most_h: int = 120 * 24) -> None:
    for rise in RISES:
        changed, delays, by = change_that_raises(world, rise), [], {"loss": 0, "estimate": 0}
        for seed in range(RISING_RUNS):
            rng = np.random.default_rng(seed)
            watched, n = Watched(world, world.reference(REFERENCE_ROWS_RISING, rng)), 0
            for hour in range(before_h + most_h):
                k = wave(hour, rows, rng)
                after = hour >= before_h
                stands = watched.come(hour, hour + 1, *world.rows(k, rng, hour, changed if after else 0.0))
                n += k if after else 0
                if after and any(stands):
                    by = {name: by[name] + one for name, one in zip(by, stands, strict=True)}
                    delays.append(n)
                    break
        middle, late = np.quantile(delays, (0.5, 0.9)) if delays else (np.nan, np.nan)
        print(
            f"{world.kind}: loss +{rise:.0%}: {len(delays)} of {RISING_RUNS} found, rows {middle:.0f} (p90 {late:.0f}), by {by}"
        )


def change_that_raises(world: World, rise: float) -> float:
    """By bisection, on the same draws."""

    def mean(changed: float) -> float:
        rng = np.random.default_rng(7)
        return float(world.main(*world.rows(400_000, rng, np.linspace(0, 168, 400_000), changed)).mean())

    low, high, before = 0.0, 2.0, mean(0.0)
    for _ in range(18):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) / before - 1 < rise else (low, middle)
    return low


def estimate(_: World) -> None:
    """Levels where cases became harder or easier: the loss that labels say and the one that the scores promised."""
    for world in (World.of(TaskKind.BINARY), World.of(TaskKind.NUMBER)):
        promise = Promise.of(world.reference(REFERENCE_ROWS_RISING, np.random.default_rng(1)))
        for hours in (0.0, 6.0, 18.0, 42.0):
            said, true = world.rows(200_000, np.random.default_rng(2), hours)
            bins, size = bin_numbers(world.kind, world.edges, said), bins_of(world.kind, world.edges)
            found = losses(world.kind, said, true, world.scale)
            grades = predicted(bins, size) + graded(world.kind, bins, size, said, true, found, world.scale)
            promised = float(grades[0] @ promise.loss / grades[0].sum())
            print(f"{world.kind}: hour {hours:g}: loss {found[Loss.MAIN].mean():.4f}, promised {promised:.4f}")


MEASURED: dict[str, Callable[[World], None]] = {"quiet": quiet, "rising": rising, "estimate": estimate}

if __name__ == "__main__":
    what, of = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "binary"
    MEASURED[what](World.of(TaskKind(of)))
