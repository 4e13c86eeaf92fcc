"""`python -m loadtests.drift`: every system on the same data, one after the other, each in its own environment."""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from loadtests.bench.server import SystemUnfit
from loadtests.drift.document import document
from loadtests.drift.friedman import friedman
from loadtests.drift.pictures import draw
from loadtests.drift.results import Results, Rides
from loadtests.drift.run import TargetFailed, ran
from loadtests.drift.scenarios import Scenario, incidents, rides, unchanged
from loadtests.drift.score import Quiet, Ran, Speed, only_wide, quiet, seen, speed
from loadtests.drift.systems import SYSTEMS, System

HERE = Path(__file__).parent
SEED = 1


@dataclass(frozen=True)
class Amount:
    """How much of everything: (rate, days, months) of (a), trials of (b) and (d), rows that a slow system is given."""

    months: tuple[tuple[float, float, int], ...]
    trials: int
    losses: int
    rows_max: int


FULL = Amount(((1, 30, 3), (10, 30, 2), (60, 30, 1)), 10, 500, 10**9)
SHORT = Amount(((1, 30, 2), (10, 30, 2), (60, 15, 1)), 7, 500, 10**9)
QUICK = Amount(((1, 3, 1),), 1, 10, 30_000)


class Bench:
    """One run: scenarios are written once, systems that failed are left out."""

    def __init__(self, systems: Sequence[System], cache: Path, folder: Path, rows_max: int) -> None:
        self._systems, self._cache, self._folder, self._rows_max = systems, cache, folder, rows_max
        self.failed: dict[str, str] = {}

    def on(self, scenario: Scenario) -> Iterator[tuple[str, Ran]]:
        """What each system found."""
        path = self._folder / "scenario.npz"
        scenario.write(path)
        print(f"{scenario.name}: {len(scenario.streams)} streams", flush=True)
        last, columns = None, len(scenario.columns)
        for system in [one for one in self._systems if columns > 1 or not one.not_of_one]:
            if system.wide:
                if last is not None:
                    yield system.name, only_wide(last)
                continue
            began_s, last = monotonic(), None
            try:
                last = ran(system, path, self._cache, rows_max=min(self._rows_max, system.rows_of(columns)))
            except (TargetFailed, SystemUnfit) as error:
                self.failed[f"{system.name}: {scenario.name}"] = str(error)
                print(f"  {system.name}: failed", flush=True)
                continue
            print(
                f"  {system.name}: {last.told.rows:,} rows, {len(last.alarms)} alarms, {monotonic() - began_s:.0f} s",
                flush=True,
            )
            yield system.name, last


def measured(bench: Bench, amount: Amount, bike: Path | None, folder: Path, cache: Path, output: Path) -> Results:
    """Everything, (a) to (e); what there is so far is written after each scenario."""
    results = measured_without_losses(bench, amount, bike, output)
    scenario = friedman(amount.losses, folder, cache, SEED)
    results.losses = {name: seen(one, _trials(scenario, "loss")) for name, one in bench.on(scenario)}
    results.failed = bench.failed
    return results


def measured_without_losses(bench: Bench, amount: Amount, bike: Path | None, output: Path) -> Results:
    """All but (d), for which river makes the rows."""
    results = Results(_machine(), SEED)
    for rate, days, months in amount.months:
        scenario = unchanged(rate, days, months, SEED)
        found = results.unchanged[scenario.name] = {}
        for name, one in bench.on(scenario):
            found[name] = _quiet(one, scenario)
            if one.told.rows > results.speed.get(name, Speed(0, 0, 0)).rows and one.told.seconds:  # (e)
                results.speed[name] = speed(one.told)
        results.write(output)
    scenario = incidents(amount.trials, SEED)
    for name, one in bench.on(scenario):
        for about in dict.fromkeys(stream.about for stream in scenario.streams):
            results.incidents.setdefault(about, {})[name] = seen(one, _trials(scenario, about))
    results.write(output)
    for shuffled in (False, True) if bike else ():
        assert bike is not None
        scenario = rides(bike, shuffled=shuffled, seed=SEED)
        results.rides[scenario.name] = {
            name: Rides(_quiet(one, scenario), tuple(alarm for alarm in one.alarms if alarm.new)[:200])
            for name, one in bench.on(scenario)
        }
        results.write(output)
    results.failed = bench.failed
    return results


def _quiet(one: Ran, scenario: Scenario) -> Quiet:
    return quiet(one, [stream.days for stream in scenario.streams], [len(stream.at_s) for stream in scenario.streams])


def _trials(scenario: Scenario, about: str) -> Iterator[tuple[int, int, float]]:
    for number, stream in enumerate(scenario.streams):
        if stream.about == about and stream.onset is not None:
            yield number, stream.onset, float(stream.at_s[stream.onset] - stream.at_s[0]) / 60


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    began_s, amount = monotonic(), QUICK if options.quick else SHORT if options.short else FULL
    systems = [
        one for one in SYSTEMS if not options.systems or any(word in one.name.lower() for word in options.systems)
    ]
    output = options.output or (options.cache / "drift" if options.quick or options.systems else HERE)
    with tempfile.TemporaryDirectory(prefix="plumbline-drift-") as folder:
        bench = Bench(systems, options.cache.resolve(), Path(folder), amount.rows_max)
        results = measured(bench, amount, options.bike, Path(folder), options.cache.resolve(), output)
    results.took_s = monotonic() - began_s
    results.write(output)
    (output / "RESULTS.md").write_text(document(results, draw(results, output)))
    print(f"{output / 'RESULTS.md'}, {results.took_s:.0f} s")
    return 1 if "plumbline" in " ".join(results.failed) else 0


def _machine() -> dict[str, str]:
    return {
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.drift", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small one of every part; to CACHE/drift")
    parser.add_argument("--short", action="store_true", help="fewer months and trials: two thirds of the time")
    parser.add_argument(
        "--bike", type=Path, help="hour.csv of UCI Bike Sharing (Fanaee-T and Gama 2013); without it no part (c)"
    )
    parser.add_argument(
        "--systems", type=lambda words: words.lower().split(","), default=[], help="words in names; to CACHE/drift"
    )
    parser.add_argument("--output", type=Path, help="folder of RESULTS.md, RESULTS.json and the pictures")
    parser.add_argument("--cache", type=Path, default=Path(".venv-bench"), help="the environments")
    return parser


if __name__ == "__main__":
    sys.exit(main())
