"""`python -m loadtests.bench`: starts each system in turn on one core, loads it from another, writes what came out."""

import argparse
import json
import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from loadtests.bench import environments, model, server, wrk
from loadtests.bench.peers import OURS, PEERS, Peer
from loadtests.bench.report import Measurement, summarise, table

HERE = Path(__file__).resolve().parent
CORE_OF_SYSTEM, CORE_OF_LOAD = 0, 1
CONNECTIONS = 16
WARM_UP_S = 2  # past the first-request costs of every system here


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    busy = os.getloadavg()[0]  # before we are ourselves the load: above 0.5, the figures are of a shared machine
    chosen = [peer for peer in PEERS if peer is OURS or not options.only or peer.name in options.only]
    cache = options.cache.resolve()
    artefacts = model.write(cache / "model")
    pythons = {peer.name: environments.interpreter(peer, cache) for peer in chosen}
    with tempfile.TemporaryDirectory(prefix="plumbline-bench-") as folder:
        systems = [System(peer, pythons[peer.name], artefacts, Path(folder)) for peer in chosen]
        for system in systems:
            system.prepare()
        rounds: list[dict[str, Measurement]] = []
        for number in range(options.rounds):  # A B C, A B C: what slows the machine for a while hits all of them
            rounds.append({system.peer.name: system.measure(options.seconds) for system in systems})
            _progress(number + 1, options.rounds, rounds[-1])
        shown = [_shown(line, folder, cache) for line in systems[0].commands(options.seconds)]
    _write(options.output, rounds, chosen, shown, busy)
    return 0


class System:
    """A peer with a place, an interpreter and an artefact."""

    def __init__(self, peer: Peer, python: Path, artefacts: tuple[Path, Path], folder: Path) -> None:
        self.peer = peer
        self._folder = folder / peer.name.replace(" ", "-").replace(",", "")
        self._folder.mkdir()
        self._words = {
            "python": str(python),
            "bin": str(python.parent),
            "targets": str(HERE / "targets"),
            "model": str(artefacts[0]),
            "train": str(artefacts[1]),
            "home": str(self._folder / "home"),
        }
        self._environment = {"BENCH_MODEL": str(artefacts[0]), "BENTOML_DO_NOT_TRACK": "True", **peer.environment}

    def prepare(self) -> None:
        for command in self.peer.prepare:
            server.finish(self.peer.name, self._filled(command), self._environment)

    def measure(self, seconds: int) -> Measurement:
        """One start, one warm-up, one measurement."""
        port = server.free_port()
        address = f"http://127.0.0.1:{port}"
        with server.running(
            self.peer.name,
            self._filled(self.peer.argv, port=port),
            core=CORE_OF_SYSTEM,
            ready_url=address + self.peer.ready,
            environment=self._environment,
            output=self._folder / "output",
        ):
            url = address + self.peer.path
            server.ask(self.peer.name, url, self.peer.body, self.peer.expect)
            self._load(url, WARM_UP_S)
            measured = self._load(url, seconds)
            if not measured.clean:
                found = f"{measured.refused} refused and {measured.broken} broken of {measured.requests}"
                raise server.SystemUnfit(self.peer.name, found, "every request answered", "")
            return measured

    def commands(self, seconds: int) -> list[list[str]]:
        """What is run for this system, for people."""
        load = wrk.command(
            f"http://127.0.0.1:PORT{self.peer.path}",
            core=CORE_OF_LOAD,
            connections=CONNECTIONS,
            duration_s=seconds,
            script=self._folder / "post.lua",
        )
        start = ["taskset", "-c", str(CORE_OF_SYSTEM), *self._filled(self.peer.argv, port=0)]
        return [*(self._filled(command) for command in self.peer.prepare), start, load]

    def _load(self, url: str, seconds: int) -> Measurement:
        return wrk.load(
            url, self.peer.body, core=CORE_OF_LOAD, connections=CONNECTIONS, duration_s=seconds, folder=self._folder
        )

    def _filled(self, command: Sequence[str], port: int = 0) -> list[str]:
        return [word.format(**self._words, port=port or "PORT") for word in command]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6, help="of measurement, a system and round")
    parser.add_argument("--only", action="append", help="a peer's name; repeat it; plumbline always runs")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of results.json and RESULTS.md")
    parser.add_argument("--cache", type=Path, default=Path(".venv-bench"), help="the model and the peers' environments")
    return parser


def _progress(number: int, rounds: int, measured: Mapping[str, Measurement]) -> None:
    figures = ", ".join(f"{name} {m.requests_per_s:,.0f}" for name, m in measured.items())
    print(f"round {number}/{rounds} (requests/s): {figures}", flush=True)


def _shown(command: Sequence[str], folder: str, cache: Path) -> str:
    """The command without this machine's paths."""
    line = shlex.join(command)
    paths = (
        (folder, "$WORK"),
        (str(cache), ".venv-bench"),
        (str(Path(sys.executable).parent) + "/", ""),
        (str(HERE.parents[1]) + "/", ""),
    )
    for path, word in paths:
        line = line.replace(path, word)
    return line


def _write(
    output: Path, rounds: list[dict[str, Measurement]], peers: Sequence[Peer], commands: Sequence[str], busy: float
) -> None:
    lines = summarise(rounds, OURS.name)
    machine = {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": round(busy, 2),
        **{name: version(name) for name in ("bentoml", "onnxruntime", "uvicorn", "msgspec")},
    }
    document = {
        "machine": machine,
        "rounds": [{name: asdict(measured) for name, measured in each.items()} for each in rounds],
        "summary": [asdict(line) for line in lines],
    }
    (output / "results.json").write_text(json.dumps(document, indent=2) + "\n")
    text = table(lines, {peer.name: peer.note for peer in peers})
    print(text)
    told = ", ".join(f"{key} {value}" for key, value in machine.items())
    (output / "RESULTS.md").write_text(
        f"# Speed, one core\n\nWritten by `make bench`. {len(rounds)} rounds, every system once a round; "
        f"{CONNECTIONS} connections, one row a request. {told}.\n\n{text}\n"
        "For plumbline the commands are (the others': `peers.py`):\n\n```\n" + "\n".join(commands) + "\n```\n"
    )


if __name__ == "__main__":
    sys.exit(main())
