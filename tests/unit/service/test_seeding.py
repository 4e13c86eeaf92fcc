from pathlib import Path

from models.lock import Lock
from models.lock_file import LockFile
from models.registry import Registry
from service.routes_audit import Via
from service.routes_file import RoutesFile
from service.seeding import SHIPPED_LOCK, route_first, seed
from service.settings import Settings
from tests.onnx_models import install, mixed, mixed_contract


def test_an_empty_home_gets_the_demo_models_pinned_verified_and_routed(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    shipped = Lock.decode(SHIPPED_LOCK.read_text())
    assert seed(settings) == []
    lock = LockFile(settings.lock_path).read()
    assert {(pin.ref, pin.digest) for pin in lock.pins} == {(pin.ref, pin.digest) for pin in shipped.pins}
    registry = Registry(settings.registry_root)
    assert all(registry.read_files(pin.digest, pin.ref) for pin in lock.pins)
    routes = RoutesFile(settings.routes_path).read()
    assert set(routes.models) == {pin.name for pin in shipped.pins}
    before = [path.read_bytes() for path in (settings.lock_path, settings.routes_path)]
    assert seed(settings) == []
    assert [path.read_bytes() for path in (settings.lock_path, settings.routes_path)] == before


def test_a_home_with_pins_gets_only_what_is_missing_of_them(tmp_path: Path) -> None:
    pin = install(tmp_path, "mixed", "1", mixed(), mixed_contract())
    settings = Settings(home=tmp_path)
    assert seed(settings) == []
    assert LockFile(settings.lock_path).read().pins == (pin,)
    assert RoutesFile(settings.routes_path).read().models == {}


def test_what_cannot_be_fetched_is_told_and_does_not_stop_the_rest(tmp_path: Path) -> None:
    pin = install(tmp_path, "mixed", "1", mixed(), mixed_contract())
    other = install(tmp_path, "mixed", "2", mixed(bias=2), mixed_contract())
    registry = Registry(tmp_path / "registry")
    place = registry.place(pin.digest)
    place.rename(tmp_path / "lost")
    (told,) = seed(Settings(home=tmp_path))
    assert "mixed:1" in str(told)
    assert registry.has(other.digest)


def test_the_first_version_of_a_model_is_routed_and_a_second_is_not(tmp_path: Path) -> None:
    routes = RoutesFile(tmp_path / "routes.toml")
    first = install(tmp_path, "mixed", "1", mixed(), mixed_contract())
    second = install(tmp_path, "mixed", "2", mixed(bias=2), mixed_contract())
    assert route_first(routes, first)
    assert not route_first(routes, second)
    assert routes.read().models["mixed"].stable == "1"


def test_a_first_route_is_given_behind_an_edit_by_hand(tmp_path: Path) -> None:
    routes = RoutesFile(tmp_path / "routes.toml")
    assert route_first(routes, install(tmp_path, "mixed", "1", mixed(), mixed_contract()))
    routes.path.write_text(routes.path.read_text().replace('stable = "1"', 'stable = "7"'))
    assert route_first(routes, install(tmp_path, "other", "1", mixed(), mixed_contract()))
    assert {name: entry.stable for name, entry in routes.read().models.items()} == {"mixed": "7", "other": "1"}
    entries = [chained.entry for chained in routes.entries()]
    assert [(entry.via, entry.generation) for entry in entries] == [(Via.START, 1), (Via.HAND, 2), (Via.START, 3)]
    assert entries[2].why == "the first version of other"
