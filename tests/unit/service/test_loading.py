"""What is loaded beside the requests: one at a time, refused with a word, tried again when the files change."""

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from weakref import ReferenceType, ref

import msgspec
import psutil
import pytest
from structlog.testing import capture_logs

from models.errors import LoadFailed, ModelError
from models.lock import Pin
from models.lock_file import LockFile
from models.manifest import CONTRACT, MODEL
from models.pool import LoadedVersion, Pool
from models.registry import Registry
from models.session import Session
from service.catalogue import Catalogue
from service.ejected import EjectedFile
from service.http.v1 import V1
from service.loading import Loading
from service.rehearsal import Rehearsed
from service.routes_file import RoutesFile
from service.telemetry import Telemetry
from tests.hostile.table import TABLE, Hostile
from tests.onnx_models import mixed, mixed_contract
from tests.trying import LIMITS, trials
from tests.unit.service.serving import furnish, route, until

pytestmark = pytest.mark.slow

HONEST = {MODEL: mixed(), CONTRACT: mixed_contract().encode()}
ENDLESS = next(hostile for hostile in TABLE if hostile.expected == "CPU time")


class Counts(Telemetry):
    """Remembers the words it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def version_refused(self, reason: str) -> None:
        super().version_refused(reason)
        self.words.append(reason)


def pinned(home: Path, name: str, files: dict[str, bytes]) -> Pin:
    digest = Registry(home / "registry").install(files)
    return Pin(name="mixed", version=name, digest=digest, source="file:x")


def named(name: str) -> Hostile:
    return next(hostile for hostile in TABLE if hostile.name == name)


def damage(home: Path, pin: Pin) -> None:
    (Registry(home / "registry").place(pin.digest) / MODEL).write_bytes(b"other")


def remove(home: Path, pin: Pin) -> None:
    (Registry(home / "registry").place(pin.digest) / MODEL).unlink()


def leave(home: Path, pin: Pin) -> None:
    """As it is."""


@pytest.mark.parametrize(
    ("version", "change", "word"),
    [
        ("pickle", leave, "inspection"),
        ("contract of another graph", leave, "load"),
        ("fewer answers than rows", leave, "rows"),
        ("NaN and nothing else", leave, "nan"),
        ("160 GB of a computed shape", leave, "memory"),
        ("", damage, "mismatch"),
        ("", remove, "missing"),
    ],
)
def test_a_refused_version_is_counted_by_a_word_and_not_tried_again_until_files_change(
    tmp_path: Path, version: str, change: Callable[[Path, Pin], None], word: str
) -> None:
    pin = pinned(tmp_path, "9", named(version).files() if version else HONEST)
    change(tmp_path, pin)

    async def test() -> None:
        counts = Counts()
        found = Loading(Pool(Registry(tmp_path / "registry"), threads=1, trials=trials()), counts)
        assert found.of(pin) is None
        for files in ("before", "before", "after"):
            found.ask([pin], files)
            await found.settle()
            with pytest.raises(ModelError):
                found.of(pin)
        assert counts.words == [word, word]
        assert found.turns == 2

    asyncio.run(test())


def test_what_is_loaded_is_given_at_once(tmp_path: Path) -> None:
    pin = pinned(tmp_path, "1", HONEST)

    async def test() -> None:
        found = Loading(Pool(Registry(tmp_path / "registry"), threads=1, trials=trials()), Counts())
        found.ask([pin], 0)
        await found.settle()
        loaded = found.of(pin)
        assert loaded is not None and loaded.pin == pin
        found.ask([pin], 1)
        assert found.turns == 1

    asyncio.run(test())


def test_an_error_that_nobody_foresaw_refuses_its_version_and_the_next_one_is_loaded(
    tmp_path: Path,
) -> None:
    sessions = list[ReferenceType[Session]]()

    def rehearse(loaded: LoadedVersion) -> Rehearsed:
        sessions.append(ref(loaded.session))
        if loaded.pin.version == "1":
            raise ValueError(str(4700 + 11))
        return Rehearsed(0, 0)

    broken, good = pinned(tmp_path, "1", HONEST), pinned(tmp_path, "2", {**HONEST, MODEL: mixed(bias=5)})

    async def test() -> None:
        counts, pool = Counts(), Pool(Registry(tmp_path / "registry"), threads=1, trials=trials())
        found = Loading(pool, counts, rehearse=rehearse)
        found.ask([broken, good], 0)
        await found.settle()
        with pytest.raises(LoadFailed, match="mixed:1: loading it ended in ValueError, which nobody foresaw"):
            found.of(broken)
        assert (counts.words, found.turns, pool.digests()) == (["unforeseen"], 2, {good.digest})
        assert found.of(good) is not None
        gc.collect()
        assert [session() is None for session in sessions] == [True, False]  # nothing holds what was refused

    with capture_logs() as lines:
        asyncio.run(test())
    (told,) = [line for line in lines if line["event"] == "version.broke"]
    assert (told["version"], told["error"], "in rehearse" in told["at"]) == ("mixed:1", "ValueError", True)
    assert not [line for line in lines if "4711" in str(line)]


def test_a_rollback_does_not_wait_for_a_trial(tmp_path: Path) -> None:
    """The version that turns for ever is on trial all the while; the routes between those that are loaded change at once."""
    furnish(tmp_path)
    within = msgspec.structs.replace(LIMITS, cpu_s=60, wall_s=60.0)

    async def test() -> None:
        catalogue = Catalogue(
            routes=RoutesFile(tmp_path / "routes.toml"),
            lock_file=LockFile(tmp_path / "models.lock.toml"),
            pool=Pool(Registry(tmp_path / "registry"), threads=1, trials=trials(tmp_path / "trials", within)),
            wires=[V1()],
            telemetry=Telemetry(),
            ejected=EjectedFile(tmp_path / "ejected.json"),
        )
        await catalogue.refresh()
        following = asyncio.create_task(catalogue.follow(0.01))
        LockFile(tmp_path / "models.lock.toml").pin(pinned(tmp_path, "9", ENDLESS.files()))
        route(tmp_path, "mixed", stable="9")
        await until(lambda: on_trial() is not None, "a trial")
        assert catalogue.current.policy("mixed").stable == "1"
        route(tmp_path, "mixed", stable="2")
        await until(lambda: catalogue.current.policy("mixed").stable == "2", "the rollback")
        child = on_trial()
        assert child is not None, "the trial ended before the rollback"
        assert catalogue.current.problems == ()
        child.kill()
        await until(lambda: catalogue.current.problems != (), "the verdict")
        assert "SIGKILL" in catalogue.current.problems[0]
        following.cancel()

    asyncio.run(test())


def on_trial() -> psutil.Process | None:
    return next((child for child in psutil.Process().children() if "models.trying" in child.cmdline()), None)
