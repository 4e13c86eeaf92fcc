"""In which order is everything measured? Round by round, each system once a round: what slows the machine hits all of them.

Law: a system that fails is left out from then on and reported with what it wrote; it ends nobody else's measurement.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import psutil

from loadtests.bench import calibration, check, environments
from loadtests.bench.measure import cores, load_command, measure
from loadtests.bench.models import MODELS, Model
from loadtests.bench.report import Measurement
from loadtests.bench.scenarios import Cell, Scenario
from loadtests.bench.server import SystemUnfit
from loadtests.bench.site import SYSTEM_CORES, Site
from loadtests.bench.systems import System
from loadtests.bench.wires import Probabilities


@dataclass(slots=True)
class Measured:
    """What came of one scenario."""

    load_before: float
    rounds: list[dict[str, Measurement]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    calibration: list[list[float]] = field(default_factory=list)


class Bench:
    """The sites of one run: a system on a model is prepared once, and used by every scenario that asks for it."""

    def __init__(self, cache: Path, folder: Path) -> None:
        self.cache, self.folder = cache, folder
        self._models: dict[str, Model] = {}
        self._sites: dict[tuple[str, str], Site] = {}
        self._answers: dict[tuple[str, int], Probabilities] = {}

    def site(self, system: System, model: str) -> Site:
        """Raises SystemUnfit where its environment cannot be made or its preparation fails."""
        known = self._sites.get((system.name, model))
        if known is None:
            python = environments.interpreter(system.requirements, self.cache)
            folder = self.folder / f"{len(self._sites)}"
            known = self._sites[system.name, model] = Site(system, self._model(model), python, folder)
            known.prepare()
        return known

    def measured(self, scenario: Scenario, *, rounds: int, seconds: int) -> Measured:
        """All rounds of one scenario; says each figure as it comes."""
        found = Measured(load_before=os.getloadavg()[0], calibration=[calibration.cores_mib_per_s()])
        for number in range(rounds):
            print(f"{scenario.name}, round {number + 1} of {rounds}", flush=True)
            found.rounds.append(dict(self._round(scenario, found.failed, seconds)))
            found.calibration.append(calibration.cores_mib_per_s())
        return found

    def commands(self, scenario: Scenario, seconds: int) -> list[list[str]]:
        """What was run for it, once each, for people."""
        commands: list[list[str]] = []
        for cell in scenario.cells:
            site = self._sites.get((cell.system.name, scenario.model))
            if site:
                commands += [*site.prepare_commands(), [*site.settings(), *site.start_command(cores(scenario)[0])]]
                commands.append(load_command(scenario, cell, site, seconds))
        return [command for place, command in enumerate(commands) if command and command not in commands[:place]]

    def _round(self, scenario: Scenario, failed: dict[str, str], seconds: int) -> Iterator[tuple[str, Measurement]]:
        for cell in scenario.cells:
            if cell.name in failed:
                continue
            try:
                site = self.site(cell.system, scenario.model)
                measured = measure(scenario, cell, site, self._expected(site, scenario.rows), seconds)
            except (SystemUnfit, httpx.HTTPError, psutil.Error, OSError) as error:
                failed[cell.name] = str(error) or repr(error)
                print(f"  {cell.name}: {failed[cell.name].splitlines()[0]}", flush=True)
                continue
            print(f"  {cell.name}: {_said(measured)}", flush=True)
            yield cell.name, measured

    def _expected(self, site: Site, rows: int) -> Probabilities:
        """What every system must answer. Raises SystemUnfit."""
        key = (site.model.name, rows)
        if key not in self._answers:
            self._answers[key], _ = check.alone(site.model, rows, cores=SYSTEM_CORES, seconds=0, folder=site.folder)
        return self._answers[key]

    def _model(self, name: str) -> Model:
        if name not in self._models:
            self._models[name] = MODELS[name](self.cache / "models")
        return self._models[name]


def chosen(scenarios: Sequence[Scenario], systems: Sequence[str]) -> list[Scenario]:
    """The scenarios with only the cells whose names contain one of the words, beside the subject; all where there are none."""
    kept = []
    for scenario in scenarios:
        subject, *others = scenario.cells
        cells = (subject, *(cell for cell in others if not systems or _named(cell, systems)))
        kept.append(replace(scenario, cells=cells))
    return kept


def _named(cell: Cell, words: Sequence[str]) -> bool:
    return any(word.lower() in cell.name.lower() for word in words)


def _said(measured: Measurement) -> str:
    latency = f"p50 {measured.p50_us / 1e3:.2f} ms, p99 {measured.p99_us / 1e3:.2f} ms"
    if measured.offered_per_s:
        return (
            f"goodput {measured.goodput_per_s:,.0f}/s of {measured.offered_per_s:,.0f}/s offered, capacity "
            f"{measured.capacity_per_s:,.0f}/s, {latency}, {measured.refused} refused, {measured.broken} unanswered"
        )
    return f"{measured.per_s:,.0f}/s, {latency}"
