"""Is every incident called by its name? Seeded `payments` traffic, broken in one way, through the real fold and rules.

    python -m tests.promises.incidents --runs 200

Each run draws a time of the week, folds BEFORE_MINUTES of unchanged traffic, then the broken rows minute by minute until the
event is there, and reads its story. Right: the columns, the look and its numbers, and the segment are those of what was done.
Wrong: the story names something else. What is told as unrecognised, or as a shift without saying of which kind, is neither.
Seeds below 10 000 are for finding numbers and limits, those from 10 000 on for telling how well they do.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import click
import numpy as np
from scipy.stats import beta

from models.baseline import Baseline
from models.demo.incidents import FROZEN_MINUTES, NEW_CATEGORY, Incident, apply
from models.demo.seasons import WEEK_S, arrivals
from models.demo.simulator import Row, payments, rows
from models.manifest import BASELINE
from monitoring.events import Event
from monitoring.explain.looks import (
    AnyLook,
    Clipped,
    Frozen,
    Missing,
    Negated,
    NewCategory,
    Nulls,
    Offset,
    Renamed,
    Scaled,
    Shifted,
    Swapped,
    Temperature,
    Unit,
    Unrecognised,
)
from monitoring.explain.story import Story
from monitoring.fold import fold
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.state import State
from service.featurelog.chunk import Chunk, Run
from service.featurelog.record import Ledger, Outcome, Problem, Record, Request, SkewKind
from tests.promises.payments import START_S, VERSION, Traffic

BEFORE_MINUTES, AFTER_MINUTES = 60, 60
FIRST_TOLD_SEED = 10_000
MINUTE_S = 60

Change = Callable[[Sequence[Row], np.random.Generator], list[Row]]


@dataclass(frozen=True)
class Case:
    """What is done to the rows, and when a story is right about it."""

    change: Change
    column: str
    right: Callable[[AnyLook], bool]
    segment: tuple[str, str] | None = None
    unit: bool = False  # a factor that is told near it, without a name, is true
    also: str = ""  # a second column that must be told


def named(incident: Incident) -> Change:
    return lambda batch, rng: apply(incident, batch, rng=rng)


def each(name: str, done: Callable[[float], float], where: Callable[[Row], bool] = lambda row: True) -> Change:
    def change(batch: Sequence[Row], _rng: np.random.Generator) -> list[Row]:
        return [{**row, name: done(float(row[name]))} if row[name] is not None and where(row) else row for row in batch]

    return change


def some(share: float, change: Change) -> Change:
    def changed(batch: Sequence[Row], rng: np.random.Generator) -> list[Row]:
        hit = rng.random(len(batch)) < share
        return [new if now else old for old, new, now in zip(batch, change(batch, rng), hit, strict=True)]

    return changed


def _near(value: float, of: float, part: float = 0.2) -> bool:
    return abs(value - of) <= part * abs(of)


def _thousand(look: AnyLook) -> bool:
    return isinstance(look, Unit) and look.factor == 1000


CASES: Mapping[str, Case] = {
    "mean_shift": Case(
        named(Incident.MEAN_SHIFT),
        "amount",
        lambda look: (isinstance(look, Scaled) and 1.2 < look.factor < 2.7) or isinstance(look, Shifted),
    ),
    "unit_x1000": Case(
        named(Incident.UNIT_X1000), "amount", lambda look: _thousand(look) and look.share == 1, unit=True
    ),
    "null_burst": Case(
        named(Incident.NULL_BURST),
        "customer_age",
        lambda look: isinstance(look, Nulls) and look.what == "null" and 0.2 < look.share < 0.6,
    ),
    "new_category": Case(
        named(Incident.NEW_CATEGORY),
        "merchant_category",
        lambda look: isinstance(look, NewCategory) and look.names == (NEW_CATEGORY,),
    ),
    "columns_swapped": Case(
        named(Incident.COLUMNS_SWAPPED),
        "account_age_days",
        lambda look: isinstance(look, Swapped),
        also="payments_last_24h",
    ),
    "column_frozen": Case(
        named(Incident.COLUMN_FROZEN),
        "minutes_since_last",
        lambda look: isinstance(look, Frozen) and look.value == f"{FROZEN_MINUTES:g}",
    ),
    "column_missing": Case(
        named(Incident.COLUMN_MISSING), "country", lambda look: isinstance(look, Missing) and look.share == 1
    ),
    "fahrenheit": Case(
        each("minutes_since_last", lambda x: round(x * 1.8 + 32, 1)),
        "minutes_since_last",
        lambda look: isinstance(look, Temperature) and look.came == "°F",
    ),
    "offset": Case(
        each("amount", lambda x: x + 25.0), "amount", lambda look: isinstance(look, Offset) and 12 < look.by < 50
    ),
    "sign_flipped": Case(each("amount", lambda x: -x), "amount", lambda look: isinstance(look, Negated)),
    "seconds_for_minutes": Case(
        each("minutes_since_last", lambda x: x * 60),
        "minutes_since_last",
        lambda look: isinstance(look, Unit) and look.factor == 60,
        unit=True,
    ),
    "renamed": Case(
        lambda batch, rng: [{**row, "country": "DEU" if row["country"] == "DE" else row["country"]} for row in batch],
        "country",
        lambda look: look == Renamed(old="DE", new="DEU", share=getattr(look, "share", 0.0)),
    ),
    "clipped": Case(
        each("amount", lambda x: min(x, 50.0)), "amount", lambda look: isinstance(look, Clipped) and look.at == 50
    ),
    "unit_x1000_in_30_percent": Case(
        some(0.3, named(Incident.UNIT_X1000)),
        "amount",
        lambda look: _thousand(look) and _near(look.share, 0.3, 0.5),
    ),
    "unit_x1000_of_one_client": Case(
        each("amount", lambda x: round(x * 1000, 2), lambda row: row["channel"] == "online"),
        "amount",
        _thousand,
        segment=("channel", "online"),
        unit=True,
    ),
}


class Done(NamedTuple):
    """What one run came to."""

    verdict: str  # right, wrong, unrecognised, silent
    told: str
    minutes: int
    rows: int


class Simulation:
    """Traffic of a seed: unchanged before, broken after."""

    def __init__(self, rows_per_minute: float) -> None:
        self._traffic, self._rate, self._rules = Traffic(), rows_per_minute, Rules()
        baseline = Baseline.decode((VERSION / BASELINE).read_bytes())
        self._references = {self._traffic.schema.digest: Reference.of(self._traffic.schema, baseline)}

    def runs(self, seed: int, cases: Mapping[str, Case]) -> dict[str, Done]:
        """Every case on the same traffic."""
        rng = np.random.default_rng(seed)
        start_s = START_S + 60 * int(rng.integers(0, WEEK_S // 60))
        state, seq, change_s = State(), 0, start_s + BEFORE_MINUTES * MINUTE_S
        for batch in self._minutes(rng, start_s, BEFORE_MINUTES, lambda rows_, _: list(rows_)):
            events, seq = self._fold(state, batch, seq)
            if events:
                return {}  # a false alarm is another promise
        return {name: self._run(deepcopy(state), np.random.default_rng([seed, i]), change_s, case, seq)
                for i, (name, case) in enumerate(cases.items())}  # fmt: skip

    def _run(self, state: State, rng: np.random.Generator, change_s: float, case: Case, seq: int) -> Done:
        seen = 0
        for minute, batch in enumerate(self._minutes(rng, change_s, AFTER_MINUTES, case.change), start=1):
            events, seq = self._fold(state, batch, seq)
            seen += sum(record.rows for record in batch if isinstance(record, Request))
            if events:
                return self._verdict(state, events[0], case, minute, seen)
        return Done("silent", "", AFTER_MINUTES, seen)

    def _verdict(self, state: State, event: Event, case: Case, minute: int, seen: int) -> Done:
        ((_, story),) = state.samples.stories.items()
        return Done(judge(story, case), story.sentence, minute, seen)

    def _minutes(self, rng: np.random.Generator, start_s: float, minutes: int, change: Change) -> "list[list[Record]]":
        at_s = arrivals(rng, start_s, start_s + minutes * MINUTE_S, self._rate)
        drawn = rows(payments(rng, at_s))
        found: list[list[Record]] = []
        for minute in range(minutes):
            begin = start_s + minute * MINUTE_S
            places = np.flatnonzero((at_s >= begin) & (at_s < begin + MINUTE_S))
            batch = change([drawn[place] for place in places], rng)
            found.append([*self._records(int(begin * 1e6), batch), Ledger(int((begin + 66) * 1e6), 0, {}, {}, {})])
        return found

    def _records(self, at_us: int, batch: Sequence[Row]) -> list[Record]:
        whole = [row for row in batch if "country" in row]
        short = len(batch) - len(whole)
        records: list[Record] = [self._traffic.request(at_us, whole)] if whole else []
        if short:
            refused = Request(
                at_us, f"r-{at_us}", Outcome.REJECTED, 400, "bad_input", "v1", 0, "payments", "stable", 1, 1, short, 0, 0, 9,
                problems=[Problem(SkewKind.ABSENT, "country", short)],
            )  # fmt: skip
            records.append(refused)
        return records

    def _fold(self, state: State, batch: list[Record], seq: int) -> tuple[list[Event], int]:
        numbered = list(enumerate(batch, start=seq))
        run = Run("w0", 1, numbered, {0: self._traffic.schema})
        events = fold(state, Chunk((run,), (), True), settled=True, rules=self._rules, references=self._references)
        return events, seq + len(batch)


def judge(story: Story, case: Case) -> str:
    """Is the story right about the case?"""
    if not story.columns:
        return "unrecognised"
    first, columns = story.columns[0], {one.column for one in story.columns}
    place = None if story.segment is None else (story.segment.feature, story.segment.value)
    if first.column not in (case.column, case.also or case.column):
        return "wrong"
    if isinstance(first.look, Unrecognised):
        return "unrecognised"
    if case.right(first.look) and place == case.segment and (not case.also or case.also in columns):
        return "right"
    # A shift or a factor that is told without a name says nothing false.
    unnamed = isinstance(first.look, Shifted) or (isinstance(first.look, Scaled) and case.unit)
    return "unrecognised" if unnamed else "wrong"


def _interval(k: int, n: int) -> tuple[float, float]:
    """95 %, exact (Clopper and Pearson 1934)."""
    low = 0.0 if k == 0 else float(beta.ppf(0.025, k, n - k + 1))
    high = 1.0 if k == n else float(beta.ppf(0.975, k + 1, n - k))
    return low, high


def table(found: Mapping[str, Sequence[Done]]) -> str:
    """One line a case."""
    lines = [
        "| incident | runs | right | 95 % interval | wrong | 95 % interval | not named | no event | minutes | rows |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, done in found.items():
        n, of = len(done), Counter(run.verdict for run in done)
        right, wrong = (tuple(f"{x:.1%}" for x in _interval(of[word], n)) for word in ("right", "wrong"))
        minutes, seen = (np.median([getattr(run, what) for run in done]) for what in ("minutes", "rows"))
        lines.append(
            f"| `{name}` | {n} | {of['right'] / n:.1%} | {right[0]} – {right[1]} | {of['wrong'] / n:.1%} "
            f"| {wrong[0]} – {wrong[1]} | {of['unrecognised']} | {of['silent']} | {minutes:.0f} | {seen:.0f} |"
        )
    return "\n".join(lines)


@click.command()
@click.option("--runs", default=200, show_default=True)
@click.option("--seed", default=FIRST_TOLD_SEED, show_default=True, help="The first of them.")
@click.option("--rows-per-minute", default=300.0, show_default=True, help="Mean rate; the seasons move it.")
@click.option("--only", multiple=True, help="Cases; otherwise all.")
@click.option("--show/--no-show", default=False, help="Print the sentences that are not right.")
def main(runs: int, seed: int, rows_per_minute: float, only: tuple[str, ...], show: bool) -> None:
    """Counts right and wrong names."""
    cases = {name: case for name, case in CASES.items() if (not only or name in only)}
    simulation, found, began = Simulation(rows_per_minute), {name: [] for name in cases}, perf_counter()
    for number in range(seed, seed + runs):
        for name, run in simulation.runs(number, cases).items():
            found[name].append(run)
            if show and run.verdict != "right":
                click.echo(f"{number} {name} {run.verdict} after {run.minutes} min, {run.rows} rows: {run.told}")
    click.echo(table(found))
    click.echo(f"seeds {seed} to {seed + runs - 1}, {rows_per_minute:g} rows a minute, {perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
