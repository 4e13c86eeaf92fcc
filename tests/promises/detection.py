"""After how many rows is a change seen? The detection bars of the design, at the default budget of false alarms.

    python -m tests.promises.detection --runs 200

Twenty gaussian features, 10 000 training rows, one of the features changes. Every run has a training sample of its own and
a day of unchanged traffic before, which the windows still hold. Rows of a minute are Poisson; their bins are drawn with
the exact probabilities of the gaussian. A change is seen at the first look after it that raises a check (the page follows
when the breach has held for `hold_s`). All looks of a run are judged at once (looks.py). Exit code 1 where a median misses
its bar.
"""

from dataclasses import dataclass

import click
import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from models.baseline import SPECIALS, Special, column_of_numbers
from models.contract import Column, Kind
from monitoring.reference import Extra, Reference
from monitoring.rules import Rules
from tests.promises.looks import raised

FEATURES, TRAINING_ROWS = 20, 10_000
BEFORE_MINUTES = 1440
ROWS_MAX = 6_000  # of a run after the change; what is not seen by then counts as not detected

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """What happens to one feature, and the bar of the median in rows."""

    name: str
    shift: float
    spread: float
    rows_max: int


CHANGES = (Change("0.5 σ", 0.5, 1.0, 250), Change("0.25 σ", 0.25, 1.0, 900), Change("spread × 1.5", 0.0, 1.5, 300))


def referred(rng: np.random.Generator) -> Reference:
    """The reference of a training sample of its own."""
    nothing = np.zeros(TRAINING_ROWS, dtype=np.bool_)
    columns = [Column(name=f"f{j}", kind=Kind.FLOAT) for j in range(FEATURES)]
    return Reference.laid_out([column_of_numbers(c, rng.normal(size=TRAINING_ROWS), nothing) for c in columns])


def probabilities(reference: Reference, column: int, change: Change | None) -> Floats:
    """Of the column's bins."""
    about, found = reference.columns[column], np.zeros(reference.columns[column].bins)
    shift, spread = (0.0, 1.0) if change is None else (change.shift, change.spread)
    bounds = ndtr((np.array([about.low, *about.edges, about.high], dtype=np.float64) - shift) / spread)
    found[SPECIALS:] = np.diff(bounds)
    found[Special.BELOW], found[Special.ABOVE] = bounds[0], 1 - bounds[-1]
    return found / found.sum()


def minutes(
    reference: Reference, rng: np.random.Generator, rows: npt.NDArray[np.int64], change: Change | None
) -> Counts:
    """The counts of minutes of so many rows."""
    found = np.zeros((len(rows), reference.size), dtype=np.int64)
    for j in range(FEATURES):
        p = probabilities(reference, j, change if j == 0 else None)
        found[:, reference.starts[j] : reference.starts[j + 1]] = rng.multinomial(rows, p)
    found[:, int(reference.starts[-1]) + Extra.ROWS_ANSWERED] = rows
    return found


def rows_until_seen(change: Change, rows_per_minute: float, seed: int, rules: Rules) -> int | None:
    """Rows from the change to the end of the minute whose look raises a check; None where that is beyond ROWS_MAX."""
    rng = np.random.default_rng([seed, int(rows_per_minute * 100), int(change.shift * 100), int(change.spread * 100)])
    reference = referred(rng)
    before = rng.poisson(rows_per_minute, BEFORE_MINUTES)
    after = rng.poisson(rows_per_minute, int(ROWS_MAX / rows_per_minute))
    counts = np.concatenate([minutes(reference, rng, before, None), minutes(reference, rng, after, change)])
    looks = raised(reference, counts, rules, model="gaussian", after=BEFORE_MINUTES)
    return int(after[: looks[0].minute - BEFORE_MINUTES + 1].sum()) if looks else None


@click.command()
@click.option("--runs", default=200, show_default=True, help="Of each change at each rate.")
@click.option("--rows-per-minute", default="1,10,50", show_default=True)
def main(runs: int, rows_per_minute: str) -> None:
    """Prints a table."""
    rules, missed = Rules(), False
    click.echo(
        "| change | rows/min | median rows | 5–95 % | median minutes | detected | bar |\n|---|---|---|---|---|---|---|"
    )
    for change in CHANGES:
        for rate in map(float, rows_per_minute.split(",")):
            found = [rows_until_seen(change, rate, seed, rules) for seed in range(1, runs + 1)]
            seen = sorted(ROWS_MAX if rows is None else rows for rows in found)
            low, middle, high = (seen[int(q * (runs - 1))] for q in (0.05, 0.5, 0.95))
            share = sum(rows is not None for rows in found) / runs
            missed = missed or middle > change.rows_max
            click.echo(
                f"| {change.name} | {rate:g} | {middle} | {low}–{high} | {middle / rate:.0f} | {share:.0%} "
                f"| {change.rows_max} |"
            )
    if missed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
