"""P9, the long way: months of unchanged `payments` traffic, with its seasons, judged by the monitor.

    python -m tests.promises.false_alarms --months 200 --processes 2

Rows are simulated, answered by the demo model and counted in bins, eight weeks at a time (a pool); a
month draws its arrivals with their seasons, and for each a row of the same hour of the week from the pool, so that columns
stay as they belong together. Every pool serves some months and is then made anew. All looks of a month are judged at once
(looks.py); where one raises a check the month goes through the fold's own closing, judging and alerting, minute by minute,
and its events are the false alarms. `test_false_alarms.py` holds that records through the fold make the same events.
"""

import json
from collections.abc import Sequence
from functools import partial
from itertools import chain
from multiprocessing import get_context
from time import process_time
from typing import NamedTuple

import click
import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from models.baseline import Baseline, bin_codes, bin_numbers
from models.contract import Contract, Kind
from models.demo.seasons import DAY_S, HOUR_S, WEEK_S, arrivals
from models.demo.simulator import Payments, payments
from models.demo.training import tensors_of
from models.manifest import BASELINE, CONTRACT, MODEL
from models.session import Session
from monitoring.events import Event
from monitoring.fold import close
from monitoring.reference import Extra, Reference
from monitoring.rules import Rules
from monitoring.state import Key, State, Version
from monitoring.tally import TRAFFIC_SIZE, Tally
from tests.promises.looks import raised
from tests.promises.payments import START_S, VERSION

KEY = Key(Version("payments", "1", "sha256:" + "1" * 64), "stable")
MONTH_DAYS = 30
# The quietest hour of the week has 7 000 rows of its own: fewer would be a drift of their own (20 bins of 300 rows: PSI 0.07).
POOL_WEEKS, POOL_ROWS_PER_MINUTE = 8, 60.0
POOL_MONTHS = 50  # served by one pool

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.uint8]


class World:
    """The demo model, and what its rows are counted as."""

    def __init__(self) -> None:
        contract = Contract.decode((VERSION / CONTRACT).read_bytes())
        baseline = Baseline.decode((VERSION / BASELINE).read_bytes())
        self._session = Session((VERSION / MODEL).read_bytes(), ref="payments:1")
        self._features = len(contract.features)
        self.reference = Reference.laid_out(baseline.features, baseline.outputs)
        self.references = {KEY.version.digest: self.reference}

    def bins(self, batch: Payments) -> Places:
        """The bin of every cell of every row within its column; shape (rows, columns)."""
        features = batch.features()
        outputs = [array.reshape(len(batch), -1) for array in self._session.run(tensors_of(batch))]
        cells = [*features.values(), *(part[:, place] for part in outputs for place in range(part.shape[1]))]
        found = []
        for column, values in zip(self.reference.columns, cells, strict=True):
            if column.kind is Kind.STRING:
                codes = {text: code for code, text in enumerate(column.categories or ())}
                found.append(bin_codes(np.array([codes[text] for text in values.tolist()])))
            else:
                numbers = values.astype(np.float64)
                found.append(bin_numbers(column, numbers, np.isnan(numbers)))
        return np.stack(found, axis=1).astype(np.uint8)


class Pool:
    """Rows by hour of the week."""

    def __init__(
        self, world: World, seed: int, weeks: int = POOL_WEEKS, rows_per_minute: float = POOL_ROWS_PER_MINUTE
    ) -> None:
        rng = np.random.default_rng([seed, 9])
        days = [
            arrivals(rng, START_S + day * DAY_S, START_S + (day + 1) * DAY_S, rows_per_minute)
            for day in range(7 * weeks)
        ]
        bins = np.concatenate([world.bins(payments(rng, at_s)) for at_s in days])
        hours = hour_of_week(np.concatenate(days))
        order = np.argsort(hours, kind="stable")
        self._bins, self._first = bins[order], np.searchsorted(hours[order], np.arange(7 * 24 + 1))
        self._world = world

    def drawn(self, rng: np.random.Generator, at_s: Floats) -> Places:
        """A row a time."""
        hours = hour_of_week(at_s)
        first, last = self._first[hours], self._first[hours + 1]
        return self._bins[first + (rng.random(at_s.size) * (last - first)).astype(np.int64)]

    def minutes(self, rng: np.random.Generator, days: int, rows_per_minute: float) -> Counts:
        """The counts of every minute; shape (minutes, reference.size)."""
        reference = self._world.reference
        found = np.zeros((days * 1440, reference.size), dtype=np.int32)
        for day in range(days):
            start_s = START_S + day * DAY_S
            at_s = arrivals(rng, start_s, start_s + DAY_S, rows_per_minute)
            minute = ((at_s - start_s) // 60).astype(np.int64)
            places = self.drawn(rng, at_s) + reference.starts[:-1] + minute[:, None] * reference.size
            today = np.bincount(places.ravel(), minlength=1440 * reference.size).reshape(1440, -1)
            today[:, int(reference.starts[-1]) + Extra.ROWS_ANSWERED] = np.bincount(minute, minlength=1440)
            found[day * 1440 : (day + 1) * 1440] = today
        return found.astype(np.int64)


def hour_of_week(at_s: Floats) -> npt.NDArray[np.int64]:
    return ((at_s - START_S) % WEEK_S // HOUR_S).astype(np.int64)


def events_of(world: World, counts: Counts, rules: Rules) -> list[Event]:
    """What the fold makes of these minutes: tallies into its open minutes, then its own closing, judging and alerting."""
    state, first, events = State(closed=START_S // 60 - 1), START_S // 60, list[Event]()
    for place in np.flatnonzero(counts.any(axis=1)).tolist():
        tally = Tally(np.zeros(TRAFFIC_SIZE, dtype=np.int64), counts[place])
        track = state.track(KEY, first + place, world.reference, rules)
        assert track is not None
        events += close(state, first + place - 1, rules, world.references)
        track.account(first + place, tally)
        state.open[first + place] = {KEY: tally}
        state.open_marks[first + place] = {}
    return events + close(state, first + len(counts) - 1, rules, world.references)


def month(world: World, pool: Pool, seed: int, rows_per_minute: float, rules: Rules) -> list[str]:
    """The false alarms of one month, as they would be told."""
    counts = pool.minutes(np.random.default_rng([seed, int(rows_per_minute * 100)]), MONTH_DAYS, rows_per_minute)
    if not raised(world.reference, counts, rules, model="payments"):
        return []
    return [json.loads(event.body)["data"]["reason"] for event in events_of(world, counts, rules)]


def interval(alarms: int, months: int) -> tuple[float, float]:
    """95 % for the rate of a Poisson count (Garwood 1936)."""
    low = chi2.ppf(0.025, 2 * alarms) / 2 if alarms else 0.0
    return float(low) / months, float(chi2.ppf(0.975, 2 * alarms + 2)) / 2 / months


class Lived(NamedTuple):
    """A month that was judged: what it would have told, and what it cost."""

    seed: int
    rows_per_minute: float
    reasons: list[str]
    took_s: float


def lived(seeds: Sequence[int], rates: Sequence[float]) -> list[Lived]:
    """The months of these seeds, which one pool serves."""
    world, rules, found, began_s = World(), Rules(), list[Lived](), process_time()
    pool = Pool(world, seeds[0] - 1)
    for seed in seeds:
        rate = rates[seed % len(rates)]
        reasons = month(world, pool, seed, rate, rules)
        found.append(Lived(seed, rate, reasons, process_time() - began_s))
        began_s = process_time()
        if not seed % 10:
            click.echo(f"month {seed}", err=True)
    return found


def pools_of(months: int) -> list[range]:
    """Seeds 1, 2, …, by the pool that serves them."""
    return [range(first, min(first + POOL_MONTHS, months + 1)) for first in range(1, months + 1, POOL_MONTHS)]


def rates_of(text: str) -> list[float]:
    return [float(word) for word in text.split(",")]


@click.command()
@click.option(
    "--months", default=200, show_default=True, help="Model-months in all, shared among the rates; seeds 1, 2, …"
)
@click.option("--rows-per-minute", default="1,10,100", show_default=True, help="Mean rates; the seasons move them.")
@click.option("--processes", default=1, show_default=True, help="A core each; what is found does not hang on them.")
def main(months: int, rows_per_minute: str, processes: int) -> None:
    """Counts false alarms."""
    rates = rates_of(rows_per_minute)
    with get_context("spawn").Pool(processes) as cores:
        found = chain.from_iterable(cores.map(partial(lived, rates=rates), pools_of(months), chunksize=1))
    alarms, counted, took_s = dict.fromkeys(rates, 0), dict.fromkeys(rates, 0), 0.0
    for seed, rate, reasons, month_s in found:
        alarms[rate], counted[rate], took_s = alarms[rate] + len(reasons), counted[rate] + 1, took_s + month_s
        for reason in reasons:
            click.echo(f"month {seed}, {rate:g} rows/min: {reason}")
    for rate in rates:
        _say(f"{rate:g} rows/min", alarms[rate], counted[rate])
    _say("all", sum(alarms.values()), months)
    click.echo(f"{took_s:.0f} s of one core")


def _say(what: str, alarms: int, months: int) -> None:
    if months:
        low, high = interval(alarms, months)
        click.echo(
            f"{what}: {alarms} false alarms in {months} model-months: {alarms / months:.3f} a month, 95 % {low:.3f}–{high:.3f}"
        )


if __name__ == "__main__":
    main()
