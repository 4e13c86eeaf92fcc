"""What was measured, as RESULTS.json keeps it."""

from math import nan
from pathlib import Path

import msgspec

from loadtests.drift.score import Alarm, Quiet, Seen, Speed

FILE = "RESULTS.json"


class Rides(msgspec.Struct, frozen=True):
    """On real rows, an hour a row."""

    quiet: Quiet
    pages: tuple[Alarm, ...]


class Results(msgspec.Struct):
    """By system, and of (a), (b) and (c) by scenario; `failed`: what a system wrote that could not be measured."""

    machine: dict[str, str]
    seed: int
    unchanged: dict[str, dict[str, Quiet]] = {}
    incidents: dict[str, dict[str, Seen]] = {}
    rides: dict[str, dict[str, Rides]] = {}
    losses: dict[str, Seen] = {}
    speed: dict[str, Speed] = {}
    failed: dict[str, str] = {}
    took_s: float = 0.0

    def write(self, folder: Path) -> None:
        """Beside the tables and pictures."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


def read(folder: Path) -> Results:
    """What a run wrote; JSON has no NaN, so the delay of what was never detected stands there as null."""
    told = msgspec.json.decode((folder / FILE).read_bytes())
    for seen in [told["losses"], *told["incidents"].values()]:
        for system, one in seen.items():
            seen[system] = {name: nan if value is None else value for name, value in one.items()}
    return msgspec.convert(told, Results)
