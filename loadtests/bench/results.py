"""What is kept of the runs: one entry a scenario, the last one that measured it whole, with its date and its circumstances."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from loadtests.bench.report import Measurement
from loadtests.bench.scenarios import SCENARIOS

FILE = "RESULTS.json"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario. `failed`: the system and why it was not measured. `calibration`: MiB/s of each core around every round."""

    measured_at: str
    seconds: int
    load_before: float
    machine: Mapping[str, str]
    commands: Sequence[str]
    calibration: Sequence[Sequence[float]]
    failed: Mapping[str, str]
    rounds: Sequence[Mapping[str, Measurement]]


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """`environments`: every package of every peer's environment, by the pins it was made from."""

    scenarios: Mapping[str, Result] = {}
    environments: Mapping[str, Sequence[str]] = {}

    def replaced(self, scenarios: Mapping[str, Result], environments: Mapping[str, Sequence[str]]) -> "Results":
        """What was measured anew takes the place of what was there; what was not stays, with its own date."""
        merged = {**self.scenarios, **scenarios}
        known = [scenario.name for scenario in SCENARIOS if scenario.name in merged]
        return Results(
            scenarios={name: merged[name] for name in known}, environments={**self.environments, **environments}
        )


def read(folder: Path) -> Results:
    """Nothing where there is none yet."""
    file = folder / FILE
    return msgspec.json.decode(file.read_bytes(), type=Results) if file.exists() else Results()


def write(folder: Path, results: Results) -> None:
    """Whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f"{FILE}.new"
    aside.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    aside.rename(folder / FILE)
