"""Where does a system run: with which interpreter, on which model, in which folder, by which commands?"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench import server
from loadtests.bench.models import Model
from loadtests.bench.systems import System

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SYSTEM_CORES, LOAD_CORES, ALL_CORES = "0", "1", "0,1"


@dataclass(frozen=True, slots=True)
class Server:
    """A system that answers."""

    url: str
    pid: int


class Site:
    """A system with a place; `prepare` comes first, then any number of starts, each from the home that was prepared."""

    def __init__(self, system: System, model: Model, python: Path, folder: Path) -> None:
        self.system, self.model, self.folder = system, model, folder
        self._prepared, self._home = folder / "prepared", folder / "home"
        self._prepared.mkdir(parents=True)
        self._words = {
            "python": str(python),
            "bin": str(python.parent),
            "targets": str(HERE / "targets"),
            "model": str(model.file),
            "name": model.name,
            "train": str(model.train),
        }

    def prepare(self) -> None:
        """Raises SystemUnfit."""
        for command in self.prepare_commands():
            server.finish(self.system.name, command, self.environment(self._prepared))

    @contextmanager
    def started(self, cores: str) -> Iterator[Server]:
        """One start in a fresh copy of the home: no start finds the log of the one before. Raises SystemUnfit."""
        shutil.rmtree(self._home, ignore_errors=True)
        shutil.copytree(self._prepared, self._home)
        url = f"http://127.0.0.1:{(port := server.free_port())}"
        with server.running(
            self.system.name,
            self.start_command(cores, str(port)),
            ready_url=url + self.system.ready,
            environment=self.environment(self._home),
            output=self.folder / "output",
        ) as pid:
            yield Server(url, pid)
        shutil.rmtree(self._home, ignore_errors=True)

    def prepare_commands(self) -> list[list[str]]:
        commands = self.system.prepare if self.model.train else ()
        return [self.filled(command, home=str(self._prepared)) for command in commands]

    def start_command(self, cores: str, port: str = "PORT") -> list[str]:
        return server.pinned(cores, self.filled(self.system.argv, home=str(self._home), port=port))

    def settings(self) -> list[str]:
        """What stands before the start command where people run it: what the bench puts into the environment."""
        shown = self.environment(self._home)
        return [f"{name}={value}" for name, value in shown.items() if name in {"BENCH_MODEL", *self.system.environment}]

    def environment(self, home: Path) -> dict[str, str]:
        filled = {key: self.filled([value], home=str(home))[0] for key, value in self.system.environment.items()}
        path = (
            "" if self.system.requirements else str(ROOT)
        )  # this tree for ours, wherever it is started; nothing of it for peers
        return {"PYTHONPATH": path, "BENCH_MODEL": str(self.model.file), "BENTOML_DO_NOT_TRACK": "True", **filled}

    def filled(self, words: Sequence[str], **more: str) -> list[str]:
        return [
            word.format(**self._words, **{"home": "", "port": "", "feed": "", "seconds": "", **more}) for word in words
        ]
