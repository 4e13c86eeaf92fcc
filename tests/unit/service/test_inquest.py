"""What follows from the deaths of workers: routes, audit log and list of the ejected, over the files of a real home."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from models.lock_file import LockFile
from service.ejected import EjectedFile
from service.in_flight import CELLS, IDENTS, LOOP, PID, SHADOW, Board, mark_of
from service.inquest import Dead, Inquest
from service.routes_audit import Via, breaks
from service.routes_document import ModelRoutes
from service.routes_file import RoutesFile
from service.settings import Settings
from tests.onnx_models import install, mixed, mixed_contract
from tests.unit.service.serving import furnish, route


@pytest.fixture
def home(tmp_path: Path) -> Path:
    furnish(tmp_path)
    install(tmp_path, "mixed", "3", mixed(bias=7), mixed_contract())
    (tmp_path / "vmstat").write_text("pgfault 1\noom_kill 5\n")
    return tmp_path


class Supervised:
    """An inquest over a home, and workers that die as they are told."""

    def __init__(self, home: Path) -> None:
        self.home, self.board = home, Board()
        self.inquest = Inquest(Settings(home=home), self.board, vmstat=home / "vmstat")
        self.pid = 1 << 30

    def mark(self, ref: str) -> int:
        name, _, version = ref.partition(":")
        pin = LockFile(self.home / "models.lock.toml").read().find(name, version)
        assert pin is not None
        return mark_of(pin.digest)

    def die(self, *running: str, by: int = signal.SIGSEGV, asked: bool = False, times: int = 1) -> None:
        for _ in range(times):
            self.pid += 1
            row = self.board._cells[:CELLS]
            row[PID] = self.pid
            for slot, ref in zip((LOOP, SHADOW), running, strict=False):
                row[slot], row[IDENTS + slot] = self.mark(ref), 100 + slot
            self.inquest.look([Dead(self.pid, by, asked)])

    @property
    def routes(self) -> ModelRoutes:
        return RoutesFile(self.home / "routes.toml").read().models["mixed"]

    @property
    def out(self) -> list[str]:
        return sorted(one.ref for one in EjectedFile(self.home / "ejected.json").read()[0])


def test_a_canary_that_ends_three_workers_is_aborted_by_the_audited_path_and_kept_out(home: Path) -> None:
    route(home, "mixed", stable="1", canary={"version": "2", "percent": 5.0})
    service = Supervised(home)
    service.die("mixed:2", times=2)
    assert (service.routes.canary is None, service.out) == (False, [])
    service.die("mixed:2")
    assert (service.routes, service.out) == (ModelRoutes(stable="1"), ["mixed:2"])
    file = RoutesFile(home / "routes.toml")
    newest = file.entries()[-1].entry
    assert (newest.via, newest.asked) == (Via.EJECTED, {"do": "eject", "versions": ["mixed:2"]})
    assert newest.why == "mixed:2 ended its worker 3 times within 300 s, the last time by SIGSEGV"
    assert list(breaks(file.audit.lines(), file.read())) == []


def test_a_stable_version_gives_way_to_the_one_that_was_stable_before_and_still_is_pinned(home: Path) -> None:
    for version in ("3", "1", "2"):
        route(home, "mixed", stable=version)
    service = Supervised(home)
    service.die("mixed:2", times=3)
    assert (service.routes.stable, service.out) == ("1", ["mixed:2"])
    service.die("mixed:1", times=3)
    assert (service.routes.stable, service.out) == ("3", ["mixed:1", "mixed:2"])


def test_a_stable_version_that_nothing_can_replace_stays_named_and_is_kept_out(home: Path) -> None:
    service = Supervised(home)
    before = RoutesFile(home / "routes.toml").read()
    service.die("mixed:1", times=3)
    file = RoutesFile(home / "routes.toml")
    assert (file.read().models, service.out) == (before.models, ["mixed:1"])
    assert (file.read().generation, file.entries()[-1].entry.via) == (before.generation + 1, Via.EJECTED)


def test_a_shadow_is_taken_out_and_the_same_bytes_under_another_name_with_it(home: Path) -> None:
    install(home, "mixed", "2-again", mixed(bias=100), mixed_contract())
    route(home, "mixed", stable="1", shadows=[{"version": "2"}, {"version": "2-again"}, {"version": "3"}])
    service = Supervised(home)
    service.die("mixed:2", times=3)
    assert [shadow.version for shadow in service.routes.shadows] == ["3"]
    assert service.out == ["mixed:2", "mixed:2-again"]


@pytest.mark.parametrize(
    ("running", "by", "asked"),
    [
        (["mixed:1"], signal.SIGKILL, False),  # an operator's: the kernel says nothing of memory
        (["mixed:1"], signal.SIGTERM, False),
        (["mixed:1"], 0, False),
        (["mixed:1", "mixed:2"], signal.SIGSEGV, False),  # which of them nobody knows
        ([], signal.SIGSEGV, False),
    ],
)
def test_a_death_that_may_be_another_s_counts_against_nobody(
    home: Path, running: Sequence[str], by: int, asked: bool
) -> None:
    service = Supervised(home)
    service.die(*running, by=by, asked=asked, times=4)
    assert service.out == []


def test_a_kill_counts_where_the_kernel_ended_a_process_for_want_of_memory(home: Path) -> None:
    service = Supervised(home)
    for kills in range(3):
        (home / "vmstat").write_text(f"oom_kill {6 + kills}\n")
        service.die("mixed:1", by=signal.SIGKILL)
    assert service.out == ["mixed:1"]


def test_where_the_routes_cannot_be_changed_it_is_kept_out_all_the_same(home: Path) -> None:
    route(home, "mixed", stable="1", canary={"version": "2", "percent": 5.0})
    (home / f"routes.toml.{os.getpid()}.new").mkdir()
    service = Supervised(home)
    service.die("mixed:2", times=3)
    assert (service.routes.canary is None, service.out) == (False, ["mixed:2"])


def test_where_it_cannot_be_kept_out_the_next_death_tries_again(home: Path) -> None:
    service, aside = Supervised(home), home / f"ejected.json.{os.getpid()}.new"
    aside.mkdir()
    service.die("mixed:2", times=3)
    assert service.out == []
    aside.rmdir()
    service.die("mixed:2")
    assert service.out == ["mixed:2"]
