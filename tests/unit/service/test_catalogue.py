"""What is served follows the files, a model at a time, and never serves half of a change."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from models.lock_file import LockFile
from models.pool import Pool
from models.registry import Registry
from service.catalogue import Catalogue
from service.ejected import Ejected, EjectedFile
from service.errors import ModelNotReady, ModelUnknown, VersionEjected, VersionUnknown
from service.http.v1 import V1
from service.routes_audit import Via
from service.routes_file import RoutesFile
from service.telemetry import Telemetry
from tests.onnx_models import install, mixed, mixed_contract
from tests.unit.service.serving import furnish, route, until

Test = Callable[[Catalogue], Awaitable[None]]


def run(home: Path, test: Test) -> None:
    async def inside() -> None:
        catalogue = Catalogue(
            routes=RoutesFile(home / "routes.toml"),
            lock_file=LockFile(home / "models.lock.toml"),
            pool=Pool(Registry(home / "registry"), threads=1),
            wires=[V1()],
            telemetry=Telemetry(),
            ejected=EjectedFile(home / "ejected.json"),
        )
        await catalogue.refresh()
        await test(catalogue)

    asyncio.run(inside())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    furnish(tmp_path)
    return tmp_path


def stable(catalogue: Catalogue, model: str = "mixed") -> str:
    return catalogue.current.policy(model).stable


def artefact(home: Path, name: str, version: str) -> Path:
    pin = LockFile(home / "models.lock.toml").read().find(name, version)
    assert pin is not None
    return Registry(home / "registry").place(pin.digest) / "model.onnx"


def test_every_pinned_version_is_loaded_and_routed_models_answer(home: Path) -> None:
    async def test(catalogue: Catalogue) -> None:
        now = catalogue.current
        assert set(now.versions) == {("mixed", "1"), ("mixed", "2"), ("image", "1")}
        assert (now.generation, now.problems, now.failed) == (2, (), ())
        assert [version.pin.version for version in now.versions_of("mixed")] == ["1", "2"]
        with pytest.raises(ModelUnknown):
            now.policy("nothing")
        with pytest.raises(VersionUnknown, match="expected one of 1, 2"):
            now.version("mixed", "9")

    run(home, test)


def test_an_empty_home_serves_nothing_and_says_nothing_is_wrong(tmp_path: Path) -> None:
    async def test(catalogue: Catalogue) -> None:
        assert (catalogue.current.policies, catalogue.current.problems) == ({}, ())

    run(tmp_path, test)


def test_a_change_is_picked_up_and_a_request_that_began_before_keeps_its_snapshot(home: Path) -> None:
    async def test(catalogue: Catalogue) -> None:
        before = catalogue.current
        route(home, "mixed", stable="2")
        await catalogue.refresh()
        assert (stable(catalogue), catalogue.current.generation) == ("2", 3)
        assert before.policy("mixed").stable == "1"
        assert [version.pin.version for version in catalogue.current.versions_of("mixed")] == ["2", "1"]

    run(home, test)


def test_nothing_is_read_when_nothing_changed(home: Path) -> None:
    async def test(catalogue: Catalogue) -> None:
        before = catalogue.current
        await catalogue.refresh()
        assert catalogue.current is before

    run(home, test)


def test_following_picks_up_a_change_by_itself(home: Path) -> None:
    async def test(catalogue: Catalogue) -> None:
        following = asyncio.create_task(catalogue.follow(0.005))
        route(home, "mixed", stable="2")
        await until(lambda: stable(catalogue) == "2", "version 2")
        following.cancel()

    run(home, test)


BAD = [
    b"generation = ",
    b"\xff\xfe\x00",
    b"generation = 9\n[models.mixed]\nstable = 1\n",
    b"x = " + b"[" * 5000,
]


@pytest.mark.parametrize("file", ["routes.toml", "models.lock.toml"])
@pytest.mark.parametrize("text", BAD, ids=lambda text: repr(text[:20]))
def test_a_file_that_cannot_be_read_leaves_everything_as_it_was_and_is_told(home: Path, file: str, text: bytes) -> None:
    async def test(catalogue: Catalogue) -> None:
        before, good = catalogue.current, (home / file).read_bytes()
        (home / file).write_bytes(text)
        await catalogue.refresh()
        now = catalogue.current
        assert (now.generation, now.policies, now.versions) == (before.generation, before.policies, before.versions)
        assert len(now.problems) == 1
        (home / file).write_bytes(good)
        await catalogue.refresh()
        assert catalogue.current.problems == ()

    run(home, test)


@pytest.mark.parametrize("file", ["routes.toml", "models.lock.toml"])
def test_a_file_that_is_a_directory_does_not_end_the_following(home: Path, file: str) -> None:
    async def test(catalogue: Catalogue) -> None:
        following = asyncio.create_task(catalogue.follow(0.005))
        (home / file).rename(home / "aside")
        (home / file).mkdir()
        await until(lambda: catalogue.current.problems or not catalogue.current.policies, "a problem")
        (home / file).rmdir()
        (home / "aside").rename(home / file)
        await until(lambda: not catalogue.current.problems and catalogue.current.policies, "no problem")
        assert not following.done()
        following.cancel()

    run(home, test)


@pytest.mark.parametrize(
    "entry",
    [
        {"stable": "9"},
        {"stable": "2", "canary": {"version": "9", "percent": 1.0}},
        {"stable": "2", "shadows": [{"version": "9"}]},
    ],
)
def test_routes_to_a_version_that_is_not_there_are_not_taken_but_those_of_other_models_are(
    home: Path, entry: dict[str, object]
) -> None:
    install(home, "image", "2", mixed(bias=3), mixed_contract())

    async def test(catalogue: Catalogue) -> None:
        route(home, "mixed", **entry)
        route(home, "image", stable="2")
        await catalogue.refresh()
        assert (stable(catalogue), stable(catalogue, "image")) == ("1", "2")
        assert "version '9', not pinned or not loaded" in catalogue.current.problems[0]
        install(home, "mixed", "9", mixed(bias=9), mixed_contract())
        await catalogue.refresh()
        assert stable(catalogue) == entry["stable"]
        assert catalogue.current.problems == ()

    run(home, test)


def test_a_pin_that_is_taken_out_of_the_lock_stays_while_it_is_routed(home: Path) -> None:
    async def test(catalogue: Catalogue) -> None:
        (home / "models.lock.toml").write_text("")
        await catalogue.refresh()
        assert stable(catalogue) == "1"
        assert catalogue.current.version("mixed", "1").pin.version == "1"
        with pytest.raises(VersionUnknown):
            catalogue.current.version("mixed", "2")
        assert catalogue.current.problems

    run(home, test)


def test_a_version_whose_bytes_changed_never_becomes_routable_and_says_why(home: Path) -> None:
    path = artefact(home, "mixed", "2")
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    async def test(catalogue: Catalogue) -> None:
        route(home, "mixed", stable="2")
        await catalogue.refresh()
        assert catalogue.current.failed[0][:2] == ("mixed", "2")
        assert "not loading it" in catalogue.current.failed[0][2]
        with pytest.raises(ModelNotReady, match=r"mixed:2: not ready: .*not loading it"):
            catalogue.current.policy("mixed")
        assert stable(catalogue, "image") == "1"

    route(home, "mixed", stable="2")
    run(home, test)


def test_a_version_that_was_missing_is_loaded_once_it_is_installed(home: Path) -> None:
    place = artefact(home, "mixed", "1").parent
    place.rename(home / "elsewhere")

    async def test(catalogue: Catalogue) -> None:
        with pytest.raises(ModelNotReady, match="run `plumbline models sync`"):
            catalogue.current.policy("mixed")
        (home / "elsewhere").rename(place)  # routes and lock are as they were
        await catalogue.refresh()
        assert stable(catalogue) == "1"
        assert catalogue.current.problems == ()

    run(home, test)


def test_one_version_that_cannot_be_read_does_not_take_the_others_with_it(home: Path) -> None:
    path = artefact(home, "mixed", "2")
    path.unlink()
    path.symlink_to("/proc/self/mem")  # a regular file whose first byte cannot be read: EIO

    async def test(catalogue: Catalogue) -> None:
        assert stable(catalogue) == "1"
        assert [failed[:2] for failed in catalogue.current.failed] == [("mixed", "2")]

    run(home, test)


def test_the_same_bytes_under_two_names_are_two_versions(home: Path) -> None:
    install(home, "mixed", "1-again", mixed(), mixed_contract())

    async def test(catalogue: Catalogue) -> None:
        now = catalogue.current
        first, again = now.version("mixed", "1"), now.version("mixed", "1-again")
        assert (first.pin.version, again.pin.version) == ("1", "1-again")
        assert (first.header, again.header) == (b"1", b"1-again")
        assert (first.schema.version, again.schema.version) == ("1", "1-again")
        assert first.session is again.session
        os.utime(home / "routes.toml")
        await catalogue.refresh()
        assert catalogue.current.version("mixed", "1") is first

    run(home, test)


# --- edits by hand ------------------------------------------------------------------------------------------------


def test_an_edit_by_hand_is_followed_under_a_generation_of_its_own(home: Path) -> None:
    async def test(catalogue: Catalogue) -> None:
        file = RoutesFile(home / "routes.toml")
        file.path.write_text('generation = 2\n[models.mixed]\nstable = "2"\n')
        os.utime(file.path, (0, 0))
        await catalogue.refresh()
        assert (stable(catalogue), catalogue.current.generation, catalogue.current.problems) == ("2", 3, ())
        assert file.entries()[-1].entry.via is Via.HAND

    run(home, test)


def test_a_document_that_is_being_written_changes_nothing_until_it_is_whole(home: Path) -> None:
    async def test(catalogue: Catalogue) -> None:
        before = catalogue.current
        path = home / "routes.toml"
        path.write_text("")  # an editor has emptied it and not yet written
        await catalogue.refresh()
        assert catalogue.current is before
        path.write_text('generation = 2\n[models.mixed]\nstable = "2"\n')
        os.utime(path, (0, 0))
        await catalogue.refresh()
        assert stable(catalogue) == "2"

    run(home, test)


def test_an_edit_that_cannot_be_entered_is_followed_and_is_a_problem(home: Path) -> None:
    async def test(catalogue: Catalogue) -> None:
        (home / f"routes.toml.{os.getpid()}.new").mkdir()
        (home / "routes.toml").write_text('generation = 2\n[models.mixed]\nstable = "2"\n')
        os.utime(home / "routes.toml", (0, 0))
        await catalogue.refresh()
        assert stable(catalogue) == "2"
        assert any("followed unentered" in problem for problem in catalogue.current.problems)

    run(home, test)


# --- what was ejected ---------------------------------------------------------------------------------------------


def eject(home: Path, version: str) -> EjectedFile:
    pin = LockFile(home / "models.lock.toml").read().find("mixed", version)
    assert pin is not None
    out = EjectedFile(home / "ejected.json")
    out.add(Ejected(digest=pin.digest, name="mixed", version=version, at="2026-11-21T22:00:00Z", why="it crashed"))
    return out


def test_an_ejected_version_is_in_no_route_and_comes_back_when_it_is_let_in(home: Path) -> None:
    async def test(catalogue: Catalogue) -> None:
        route(home, "mixed", stable="1", canary={"version": "2", "percent": 50.0}, shadows=[{"version": "2"}])
        await catalogue.refresh()
        assert catalogue.current.policy("mixed").versions() == {"1", "2"}
        out = eject(home, "2")
        await catalogue.refresh()
        now = catalogue.current
        assert (now.policy("mixed").versions(), ("mixed", "2") in now.versions) == ({"1"}, False)
        with pytest.raises(VersionEjected, match="mixed:2: ejected: it crashed; not loading it until"):
            now.version("mixed", "2")
        assert now.problems[0].startswith("mixed:2: ejected")
        assert now.failed[0][:2] == ("mixed", "2")
        out.readmit([one.digest for one in out.read()[0]])
        await catalogue.refresh()
        assert catalogue.current.policy("mixed").versions() == {"1", "2"}

    run(home, test)


def test_a_model_whose_stable_version_is_ejected_says_so_and_the_others_answer(home: Path) -> None:
    async def test(catalogue: Catalogue) -> None:
        eject(home, "1")
        await catalogue.refresh()
        with pytest.raises(VersionEjected):
            catalogue.current.policy("mixed")
        assert stable(catalogue, "image") == "1"

    run(home, test)


def test_a_list_of_the_ejected_that_cannot_be_read_is_a_problem_and_ejects_nobody(home: Path) -> None:
    async def test(catalogue: Catalogue) -> None:
        (home / "ejected.json").write_text("[{")
        await catalogue.refresh()
        assert stable(catalogue) == "1"
        assert "ejected.json: cannot be read" in catalogue.current.problems[0]

    run(home, test)
