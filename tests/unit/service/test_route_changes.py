"""A change of the routes by whomever: planned, held until every worker has loaded, made, followed."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from models.lock_file import LockFile
from service.ejected import Ejected, EjectedFile
from service.presence import Presence, WorkerSign
from service.route_changes import LOOK_ANYWAY_S, RouteChanges, RoutesPlan, Waiting
from service.routes_audit import Author, Via, breaks
from service.routes_change import Abort, ReplaceRoutes, Rollback, SetCanary, SetRoutes
from service.routes_document import CanaryEntry, ModelRoutes
from service.routes_errors import RoutesOutdated, RoutesUnchanged
from service.routes_file import RoutesFile
from tests.processes import wait_until
from tests.unit.service.serving import furnish, route

ADA = Author(Via.COMMAND, "ada")
RACERS, EACH = 4, 5


@pytest.fixture
def home(tmp_path: Path) -> Path:
    furnish(tmp_path)
    return tmp_path


def changes_of(home: Path) -> RouteChanges:
    return RouteChanges(
        routes=RoutesFile(home / "routes.toml"),
        lock_file=LockFile(home / "models.lock.toml"),
        workers_root=home / "workers",
        ejected=EjectedFile(home / "ejected.json"),
    )


def digests(home: Path) -> dict[str, str]:
    return {pin.ref: pin.digest for pin in LockFile(home / "models.lock.toml").read().pins}


@contextmanager
def worker(home: Path, pid: int, versions: dict[str, str], generation: int = 2) -> Iterator[Presence]:
    """What a live worker says of itself."""
    presence = Presence(home / "workers" / f"{pid}.json")
    presence.say(WorkerSign(pid, pid, generation, {}, versions))
    try:
        yield presence
    finally:
        presence.close()


def test_a_change_is_made_at_once_where_no_service_runs(home: Path) -> None:
    plan = changes_of(home).attempt("mixed", SetCanary(version="2", percent=5), ADA)
    assert (plan.made, plan.generation, plan.behind) == (True, 3, {})
    assert RoutesFile(home / "routes.toml").read().models["mixed"].canary == CanaryEntry("2", 5)


def test_a_share_rises_only_when_every_live_worker_has_loaded_the_version(home: Path) -> None:
    everything = digests(home)
    without = {ref: digest for ref, digest in everything.items() if ref != "mixed:2"}
    order, changes = SetCanary(version="2", percent=5), changes_of(home)
    before = (home / "routes.toml").read_bytes()
    with worker(home, 11, everything), worker(home, 12, without) as late:
        plan = changes.attempt("mixed", order, ADA)
        assert (plan.made, plan.behind) == (False, {"worker 12": ("mixed:2",)})
        assert (home / "routes.toml").read_bytes() == before
        late.say(WorkerSign(12, 12, 2, {}, without, ("mixed:2: model.onnx: not there", "image:1: other")))
        assert changes.attempt("mixed", order, ADA).reasons == {"mixed:2": "model.onnx: not there"}
        late.say(WorkerSign(12, 12, 2, {}, {**everything, "mixed:2": "sha256:" + "0" * 64}))
        assert not changes.attempt("mixed", order, ADA).made  # other bytes under that name
        late.say(WorkerSign(12, 12, 2, {}, everything))
        assert changes.attempt("mixed", order, ADA).made


def test_a_change_that_waits_is_planned_again_when_workers_or_files_say_something_new_and_now_and_then(
    home: Path,
) -> None:
    order, changes, attempts = SetCanary(version="2", percent=5), changes_of(home), []

    def attempt() -> RoutesPlan:
        attempts.append(time.monotonic())
        return changes.attempt("mixed", order, ADA)

    without = {ref: digest for ref, digest in digests(home).items() if ref != "mixed:2"}
    with worker(home, 11, without) as late:
        waiting = Waiting(changes, attempt(), attempt)
        for _ in range(100):
            assert not waiting.look().made
        assert len(attempts) <= 3 + (attempts[-1] - attempts[0]) // LOOK_ANYWAY_S
        route(home, "image", stable="1", key="header:x-id")
        n = len(attempts)
        assert not waiting.look().made and len(attempts) == n + 1
        wait_until(lambda: waiting.look() and len(attempts) > n + 1, 5, "a look anyway")
        late.say(WorkerSign(11, 11, 2, {}, digests(home)))
        assert waiting.look().made


def test_a_worker_that_died_holds_nothing_up(home: Path) -> None:
    with worker(home, 11, {}):
        pass
    (home / "workers" / "12.json").write_text('{"pid":12}')  # left from kill -9: nobody holds it
    assert changes_of(home).attempt("mixed", SetCanary(version="2", percent=5), ADA).made


def test_a_rollback_waits_for_no_worker(home: Path) -> None:
    route(home, "mixed", stable="2", previous="1")
    with worker(home, 11, {}):
        plan = changes_of(home).attempt("mixed", Rollback(), ADA)
        assert plan.made and plan.behind == {"worker 11": ("mixed:1",)}
        route(home, "mixed", stable="1", canary={"version": "2", "percent": 50})
        assert changes_of(home).attempt("mixed", Abort(), ADA).made


def test_a_dry_run_says_what_would_change_and_changes_nothing(home: Path) -> None:
    before = {path.name: path.read_bytes() for path in home.glob("routes*")}
    with worker(home, 11, {}):
        plan = changes_of(home).attempt("mixed", SetRoutes(stable="2", dry_run=True), ADA)
    assert (plan.made, plan.generation, plan.behind) == (False, 3, {"worker 11": ("mixed:2",)})
    assert [(move.source, move.target, move.percent) for move in plan.moves] == [("1", "2", 100)]
    assert {path.name: path.read_bytes() for path in home.glob("routes*")} == before


def test_who_has_applied_a_change_and_who_has_not_is_told(home: Path) -> None:
    changes = changes_of(home)
    everything = digests(home)
    with worker(home, 11, everything, generation=3), worker(home, 12, everything) as slow:
        plan = changes.attempt("mixed", SetRoutes(stable="2"), ADA)
        plan = changes.followed(plan)
        assert (plan.applied, plan.pending) == (("worker 11",), ("worker 12",))
        slow.say(WorkerSign(12, 12, 3, {}, everything))
        plan = changes.followed(plan)
        assert (plan.applied, plan.pending) == (("worker 11", "worker 12"), ())


def test_a_change_from_another_generation_is_refused_and_one_that_names_none_is_planned_again(home: Path) -> None:
    changes = changes_of(home)
    for order in (
        SetRoutes(stable="2", generation=1),
        ReplaceRoutes(models={}, remove=("mixed", "image"), generation=3),
    ):
        with pytest.raises(RoutesOutdated, match="found 2"):
            changes.attempt("mixed", order, ADA)
    (home / "routes.toml").write_text('generation = 2\n[models.mixed]\nstable = "1"\n[models.image]\nstable = "1"\n')
    os.utime(home / "routes.toml", (0, 0))
    assert changes.attempt("mixed", SetRoutes(stable="2"), ADA).generation == 3  # nothing was edited but the layout
    (home / "routes.toml").write_text('generation = 3\n[models.mixed]\nstable = "1"\n')
    plan = changes.attempt("mixed", SetRoutes(stable="2"), ADA)
    assert plan.generation == 5  # behind the edit, which is generation 4
    assert RoutesFile(home / "routes.toml").read().models == {"mixed": ModelRoutes(stable="2", previous="1")}


def test_no_change_of_many_at_once_is_lost(home: Path) -> None:
    route(home, "mixed", stable="1", canary={"version": "2", "percent": 0})
    failed: list[BaseException] = []

    def change(racer: int) -> None:
        try:
            for number in range(EACH):
                changes_of(home).attempt("mixed", SetCanary(percent=1 + racer * EACH + number), ADA)
        except BaseException as error:
            failed.append(error)

    racers = [threading.Thread(target=change, args=(racer,)) for racer in range(RACERS)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    file = RoutesFile(home / "routes.toml")
    assert not failed
    assert file.read().generation == 3 + RACERS * EACH
    made = [chained.entry.after["mixed"] for chained in file.entries()[3:]]
    assert {entry.canary.percent for entry in made if entry and entry.canary} == set(range(1, 1 + RACERS * EACH))
    assert list(breaks(file.audit.lines(), file.read())) == []


# --- what was ejected ---------------------------------------------------------------------------------------------


def eject(home: Path, version: str) -> EjectedFile:
    out = EjectedFile(home / "ejected.json")
    out.add(Ejected(digest=digests(home)[f"mixed:{version}"], name="mixed", version=version, at="", why="it crashed"))
    return out


def test_a_person_who_gives_it_a_share_lets_in_what_was_ejected_and_nobody_else_does(home: Path) -> None:
    out, order = eject(home, "2"), SetCanary(version="2", percent=5)
    changes_of(home).attempt("mixed", msgspec.structs.replace(order, dry_run=True), ADA)
    changes_of(home).attempt("mixed", order, Author(Via.HAND))
    assert len(out.by_digest()) == 1
    plan = changes_of(home).attempt("mixed", SetCanary(version="2", percent=10), ADA)
    assert plan.made and out.by_digest() == {}


def test_setting_what_is_set_already_lets_it_in_again_with_an_entry_of_its_own(home: Path) -> None:
    with pytest.raises(RoutesUnchanged):
        changes_of(home).attempt("mixed", SetRoutes(stable="1"), ADA)
    out = eject(home, "1")
    assert changes_of(home).attempt("mixed", SetRoutes(stable="1"), ADA).made
    newest = RoutesFile(home / "routes.toml").entries()[-1].entry
    assert (out.by_digest(), newest.by, newest.before, newest.after) == ({}, "ada", {}, {})
