"""`python -m loadtests.bench`: starts each system in turn on one core, loads it from another, writes what came out."""

import argparse
import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from loadtests.bench import environments, estimate, profile, results
from loadtests.bench.document import document
from loadtests.bench.peers.ours import OURS
from loadtests.bench.run import Bench, chosen
from loadtests.bench.scenarios import SCENARIOS, Scenario
from loadtests.bench.site import HERE, ROOT

ROUNDS, SECONDS = 3, 2  # with these the whole run takes less than 20 minutes where the environments are made
NAMES = [scenario.name for scenario in SCENARIOS]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    cache = options.cache.resolve()
    output = options.output or (cache / "partial" if options.systems else HERE)
    scenarios = chosen([one for one in SCENARIOS if one.name in options.scenarios], options.systems)
    needed = {cell.system.requirements for scenario in scenarios for cell in scenario.cells}
    missing = sum(not environments.made(requirements, cache) for requirements in needed)
    if not options.profile:
        print(
            estimate.sentence(scenarios, rounds=options.rounds, seconds=options.seconds, environments_to_make=missing),
            flush=True,
        )
    if options.estimate:
        return 0
    with tempfile.TemporaryDirectory(prefix="plumbline-bench-") as folder:
        bench = Bench(cache, Path(folder))
        if options.profile:
            return _profile(bench, output, options.seconds)
        for scenario in scenarios:  # written after each: an interrupted run keeps what it has
            result = _result(bench, scenario, options.rounds, options.seconds)
            _keep(output, scenario, result, cache)
    print(f"{output / results.FILE}, {output / 'RESULTS.md'}")
    return 0


def _result(bench: Bench, scenario: Scenario, rounds: int, seconds: int) -> results.Result:
    found = bench.measured(scenario, rounds=rounds, seconds=seconds)
    return results.Result(
        measured_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        seconds=seconds,
        load_before=found.load_before,
        machine=_machine(),
        commands=[_shown(line, bench) for line in bench.commands(scenario, seconds)],
        calibration=found.calibration,
        failed=found.failed,
        rounds=found.rounds,
    )


def _keep(output: Path, scenario: Scenario, result: results.Result, cache: Path) -> None:
    """Puts the scenario in the place of what was known of it, and writes both files."""
    used = {cell.system.requirements for cell in scenario.cells}
    frozen = {" ".join(one): environments.packages(one, cache) for one in used if environments.made(one, cache)}
    merged = results.read(output).replaced({scenario.name: result}, frozen)
    results.write(output, merged)
    (output / "RESULTS.md").write_text(document(merged))


def _profile(bench: Bench, output: Path, seconds: int) -> int:
    written = profile.profile(bench.site(OURS, SCENARIOS[0].model), bench.cache, seconds)
    output.mkdir(parents=True, exist_ok=True)
    (output / profile.FILE).write_text(written)
    print(written)
    return 0


def _machine() -> dict[str, str]:
    ours = {name: version(name) for name in ("bentoml", "onnxruntime", "uvicorn", "msgspec")}
    return {"cores": str(os.cpu_count()), "python": platform.python_version(), "kernel": platform.release(), **ours}


def _shown(command: Sequence[str], bench: Bench) -> str:
    """The command without this machine's paths."""
    line = shlex.join(command)
    paths = (
        (str(bench.folder), "$WORK"),
        (str(bench.cache), ".venv-bench"),
        (str(Path(sys.executable).parent) + "/", ""),
        (str(ROOT) + "/", ""),
    )
    for path, word in paths:
        line = line.replace(path, word)
    return line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    parser.add_argument("--scenarios", type=_scenarios, default=NAMES, help=f"some of {','.join(NAMES)}")
    parser.add_argument(
        "--systems",
        type=lambda words: words.split(","),
        default=[],
        help="words in names, as in fastapi,bare; a scenario's first system always runs; results go to CACHE/partial",
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of measurement, a system and round")
    parser.add_argument("--estimate", action="store_true", help="only say how long it would take")
    parser.add_argument("--profile", action="store_true", help=f"py-spy over our worker instead, to {profile.FILE}")
    parser.add_argument("--output", type=Path, help="folder of RESULTS.json and RESULTS.md; this one when absent")
    parser.add_argument("--cache", type=Path, default=Path(".venv-bench"), help="the models and the environments")
    return parser


def _scenarios(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in NAMES]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r}: expected some of {','.join(NAMES)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
