"""P9, the long way: months of unchanged `payments` traffic, with its seasons, through the monitor's real fold.

    python -m tests.promises.false_alarms --months 8 --rows-per-minute 10

Prints every event (each is a false alarm) and what their number says about the rate. A month takes half a minute of one core.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from scipy.stats import chi2

import models.demo
from models.baseline import Baseline
from models.contract import Contract
from models.demo.seasons import DAY_S, arrivals
from models.demo.simulator import Row, payments, rows
from models.manifest import BASELINE, CONTRACT, MODEL
from models.session import Session
from monitoring.fold import fold
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.state import State
from service.featurelog.chunk import Chunk, Run
from service.featurelog.record import Outcome, Request, Schema
from service.rows import BlockPlan, InputPlan, OutputPlan

VERSION = Path(models.demo.__file__).parent / "artefacts" / "payments" / "1"
START_S = 1_767_571_200  # Monday 2026-01-05 00:00 UTC: after the training month
MONTH_DAYS = 30


class Traffic:
    """Answered requests of one version, one a minute with all the rows of that minute."""

    def __init__(self) -> None:
        contract = Contract.decode((VERSION / CONTRACT).read_bytes())
        self._session = Session((VERSION / MODEL).read_bytes(), ref="payments:1")
        self._features, self._inputs = BlockPlan(contract.features), InputPlan(contract)
        self._outputs = OutputPlan(contract, "payments:1")
        self._order = [column.name for column in contract.features]
        digest = "sha256:" + "1" * 64
        self.schema = Schema(0, "payments", "1", digest, self._features.schema(), self._outputs.schema)

    def day(self, rng: np.random.Generator, start_s: float, rows_per_minute: float) -> Iterator[Request]:
        """One day's requests in order."""
        at_s = arrivals(rng, start_s, start_s + DAY_S, rows_per_minute)
        drawn = rows(payments(rng, at_s))
        borders = np.flatnonzero(np.diff(at_s // 60)) + 1
        for places in np.split(np.arange(at_s.size), borders):
            if places.size:
                yield self.request(int(at_s[places[0]] * 1e6), [drawn[place] for place in places])

    def request(self, at_us: int, drawn: list[Row]) -> Request:
        table = [tuple(row[name] for name in self._order) for row in drawn]
        n = len(table)
        outputs = self._outputs.block(self._session.run(self._inputs.tensors(table)), n)
        features = self._features.block(table)
        said = (Outcome.ANSWERED, 200, "", "v1", 0, "payments", "stable", 1, 1)
        return Request(at_us, f"at-{at_us}", *said, n, 0, 10, 20, features, outputs)


def month(traffic: Traffic, seed: int, rows_per_minute: float) -> list[str]:
    """The reasons of all events of one month of unchanged traffic."""
    rng, state, rules = np.random.default_rng(seed), State(), Rules()
    baseline = Baseline.decode((VERSION / BASELINE).read_bytes())
    references = {traffic.schema.digest: Reference.of(traffic.schema, baseline)}
    reasons: list[str] = []
    for day in range(MONTH_DAYS):
        records = list(enumerate(traffic.day(rng, START_S + day * DAY_S, rows_per_minute)))
        run = Run("w0", day + 1, list(records), {0: traffic.schema})
        events = fold(state, Chunk((run,), (), True), settled=True, rules=rules, references=references)
        reasons += [json.loads(event.body)["data"]["reason"] for event in events]
    return reasons


@click.command()
@click.option("--months", default=8, show_default=True, help="Independent months, seeds 1, 2, …")
@click.option("--rows-per-minute", default=10.0, show_default=True, help="Mean rate; the seasons move it.")
def main(months: int, rows_per_minute: float) -> None:
    """Counts false alarms."""
    traffic, alarms = Traffic(), 0
    for seed in range(1, months + 1):
        reasons = month(traffic, seed, rows_per_minute)
        alarms += len(reasons)
        click.echo(f"month {seed}: {len(reasons)} events {'; '.join(reasons)}")
    upper = chi2.ppf(0.95, 2 * (alarms + 1)) / 2 / months  # exact one-sided bound of a Poisson rate (Garwood 1936)
    click.echo(f"{alarms} false alarms in {months} model-months; with 95 % confidence at most {upper:.2f} a month")


if __name__ == "__main__":
    main()
