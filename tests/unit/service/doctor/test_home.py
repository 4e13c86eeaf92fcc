"""The service's side of a home, each check made to fail by its real cause."""

import os
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.finding import Finding, Level
from models.registry import Registry
from service.doctor import home, machine, versions
from service.featurelog.record import Ledger
from service.presence import Presence, ServiceSign
from service.settings import Settings
from tests.keys import expired, made
from tests.onnx_models import install, mixed, mixed_contract
from tests.processes import free_port
from tests.small_disk import CannotMount, small_disk
from tests.unit.service.featurelog.writing import segment
from tests.unit.service.serving import route

OK, WARN, BAD = Level.OK, Level.WARN, Level.BAD


@pytest.fixture(autouse=True)
def _nobodys_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PLUMBLINE_HOME", "PLUMBLINE_PORT", "PLUMBLINE_TRIALS_DIR"):
        monkeypatch.delenv(name, raising=False)


def only(findings: Iterator[Finding] | list[Finding]) -> Finding:
    (found,) = list(findings)
    assert bool(found.advice) == (found.level is not OK), found
    return found


# --- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[service]\nprot = 1\n", "prot"),
        ("[service]\nport = 99999\n", "port"),
        ("[service\n", "plumbline.toml"),
        ("[servce]\nport = 1\n", "[servce]"),
    ],
)
def test_a_settings_file_that_does_not_say_what_was_meant_is_bad(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "plumbline.toml").write_text(text)
    settings, findings = home.settings_of(tmp_path)
    found = only(findings)
    assert found.level is BAD and says in found.found
    assert settings.home == tmp_path and settings.port == 3000


def test_the_variable_that_kubernetes_writes_for_a_service_of_our_name_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMBLINE_PORT", "tcp://10.0.0.1:3000")
    found = only(home.settings_of(tmp_path)[1])
    assert found.level is BAD and "enableServiceLinks" in found.advice


def test_a_variable_that_nobody_reads_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert only(home.environment()).level is OK
    monkeypatch.setenv("PLUMBLINE_LOG_KEEP", "3")
    assert "PLUMBLINE_LOG_KEEP" in only(home.environment()).found


# --- home, secrets, keys ------------------------------------------------------------------------------------------


def test_a_home_that_everybody_can_write_is_bad_and_one_that_is_yet_to_be_made_is_not(tmp_path: Path) -> None:
    assert only(home.directory(Settings(home=tmp_path))).level is OK
    assert only(home.directory(Settings(home=tmp_path / "a" / "b"))).level is OK
    tmp_path.chmod(0o777)
    assert only(home.directory(Settings(home=tmp_path))).advice == f"chmod o-w {tmp_path}"


def test_a_home_that_is_a_file_is_bad(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    assert only(home.directory(Settings(home=tmp_path / "home"))).level is BAD


def test_a_secret_that_everybody_can_read_is_bad(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, sources_auth_file=tmp_path / "config.json")
    assert only(home.secrets(settings)).level is BAD, "it is named and not there"
    settings.sources_auth_file.write_text("{}")  # type: ignore[union-attr]
    settings.sources_auth_file.chmod(0o644)  # type: ignore[union-attr]
    assert only(home.secrets(settings)).advice == f"chmod o= {tmp_path / 'config.json'}"
    settings.sources_auth_file.chmod(0o640)  # type: ignore[union-attr]
    assert only(home.secrets(settings)).level is OK


@pytest.mark.parametrize("name", ["keys.toml", "keys/privacy.key"])
def test_a_secret_of_the_home_that_everybody_can_read_is_bad(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    path.chmod(0o604)
    assert only(home.secrets(Settings(home=tmp_path))).level is BAD
    path.chmod(0o600)
    assert only(home.secrets(Settings(home=tmp_path))).level is OK


@contextmanager
def nobody() -> Iterator[None]:
    """The block as a user who owns nothing here; root's only, others are one already where root owns the file."""
    before = os.geteuid()
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_this_user_cannot_reach_read_or_write_is_bad() -> None:
    place = Path(tempfile.mkdtemp(prefix="plumbline-test-"))  # pytest's own folders are closed to others at their top
    try:
        place.chmod(0o755)
        secret = place / "config.json"
        secret.write_text("{}")
        secret.chmod(0o600)
        settings, below = Settings(home=place, sources_auth_file=secret), Settings(home=place / "home")
        with nobody():
            assert "cannot write" in only(home.directory(settings)).found
            assert "cannot read" in only(home.secrets(settings)).found
        place.chmod(0o700)
        with nobody():
            assert "cannot reach" in only(home.secrets(settings)).found
            assert "cannot reach" in only(home.directory(below)).found
            assert "Permission denied" in only(home.settings_of(place)[1]).found
    finally:
        shutil.rmtree(place)


def test_keys_are_missed_only_where_they_are_asked_for(tmp_path: Path) -> None:
    assert list(home.keys(Settings(home=tmp_path))) == []
    asking = Settings(home=tmp_path, api_keys="required")
    assert only(home.keys(asking)).level is BAD
    expired(tmp_path, "predict")
    assert only(home.keys(asking)).level is BAD
    made(tmp_path, "predict")
    assert only(home.keys(asking)).level is OK
    (tmp_path / "keys.toml").write_text("[[key")
    assert only(home.keys(asking)).level is BAD


# --- port ---------------------------------------------------------------------------------------------------------


def test_a_port_that_another_process_has_is_bad_and_one_that_is_ours_is_not(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(home=tmp_path, port=taken.getsockname()[1])
        assert only(home.port(settings)).level is BAD
        presence = Presence(settings.service_path)
        assert presence.say(ServiceSign(1, 1, 1, url=f"http://127.0.0.1:{settings.port}"))
        assert "this home's service" in only(home.port(settings)).found
        presence.close()


def test_a_service_that_a_flag_gave_another_port_is_found_there(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port=free_port())
    presence = Presence(settings.service_path)
    assert presence.say(ServiceSign(1, 1, 1, url="http://127.0.0.1:1"))
    assert only(home.port(settings)).found.startswith("http://127.0.0.1:1 is held by this home's service")
    presence.close()
    assert "is free" in only(home.port(settings)).found


def test_an_address_of_another_machine_is_bad(tmp_path: Path) -> None:
    assert only(home.port(Settings(home=tmp_path, host="192.0.2.1", port=free_port()))).level is BAD


# --- models and routes --------------------------------------------------------------------------------------------


def furnished(place: Path) -> Path:
    """A home with one version, and the path of its graph."""
    pin = install(place, "mixed", "1", mixed(), mixed_contract())
    route(place, "mixed", stable="1")
    return Registry(place / "registry").place(pin.digest) / "model.onnx"


def pinned(place: Path, *, deep: bool = False) -> Finding:
    return only(versions.pinned(Settings(home=place), deep=deep))


def test_a_version_that_is_missing_cut_or_changed_is_bad(tmp_path: Path) -> None:
    graph = furnished(tmp_path)
    whole = graph.read_bytes()
    assert pinned(tmp_path).level is pinned(tmp_path, deep=True).level is OK
    graph.write_bytes(whole[:-1])
    assert f"{len(whole) - 1} bytes of {len(whole)}" in pinned(tmp_path).found
    graph.write_bytes(whole[:-1] + b"x")
    assert pinned(tmp_path).level is OK, "the size is right, which is all that is looked at"
    assert pinned(tmp_path, deep=True).level is BAD
    graph.unlink()
    assert "missing" in pinned(tmp_path).found
    (graph.parent / "manifest.json").write_text("{}")
    assert pinned(tmp_path).level is BAD
    (graph.parent / "manifest.json").unlink()
    assert pinned(tmp_path).advice == "plumbline models sync"


def test_a_manifest_of_another_version_is_bad(tmp_path: Path) -> None:
    graph = furnished(tmp_path)
    other = install(tmp_path, "mixed", "2", mixed(bias=1), mixed_contract())
    manifest = Registry(tmp_path / "registry").place(other.digest) / "manifest.json"
    (graph.parent / "manifest.json").write_bytes(manifest.read_bytes())
    assert [one.level for one in versions.pinned(Settings(home=tmp_path), deep=False)] == [BAD, OK]


def test_a_lock_that_cannot_be_read_is_bad_once(tmp_path: Path) -> None:
    furnished(tmp_path)
    (tmp_path / "models.lock.toml").write_text("[[model")
    assert pinned(tmp_path).level is BAD
    assert list(versions.routed(Settings(home=tmp_path))) == []


def test_routes_that_cannot_be_read_or_name_what_is_not_pinned_are_bad(tmp_path: Path) -> None:
    furnished(tmp_path)
    settings = Settings(home=tmp_path)
    assert only(versions.routed(settings)).level is OK
    route(tmp_path, "mixed", stable="1", shadows=[{"version": "7"}])
    assert "mixed names version 7" in only(versions.routed(settings)).found
    (tmp_path / "routes.toml").write_text("generation = 1\n[models.mixed\n")
    assert only(versions.routed(settings)).level is BAD


# --- machine ------------------------------------------------------------------------------------------------------


def test_packages_are_held_against_what_is_asked_and_the_lock(tmp_path: Path) -> None:
    assert only(machine.python()).level is OK
    asked, lock = machine.asked_of("click"), tmp_path / "requirements.lock"
    assert asked is not None and machine.asked_of("nobody-made-this") is None
    assert only(machine.packages(None)).level is WARN
    assert only(machine.packages(["click>=8.0"], lock)).level is OK
    assert only(machine.packages(["click>=800"], lock)).level is BAD
    assert only(machine.packages(["nobody-made-this>=1"], lock)).found == "not installed"
    lock.write_text("click==7.0 \\\n    --hash=sha256:00\n")
    assert "7.0 as locked" in only(machine.packages(["click>=8.0"], lock)).expected


def test_a_disk_that_is_smaller_than_a_segment_is_bad(tmp_path: Path) -> None:
    assert only(machine.disk(Settings(home=tmp_path, log_segment_bytes_max=1 << 60))).level is BAD
    assert only(machine.disk(Settings(home=tmp_path, archive_bytes_max=1 << 60))).level is WARN
    assert only(machine.disk(Settings(home=tmp_path, archive_bytes_max=0))).level is WARN


def test_a_disk_that_is_full_is_bad(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "disk", log_segment_bytes_max=1 << 20, log_raw_bytes_max=1, archive_bytes_max=1)
    try:
        with small_disk(settings.home, 4 << 20) as place:
            assert only(machine.disk(settings)).level is OK
            (place / "filler").write_bytes(bytes(3 << 20))
            assert only(machine.disk(settings)).level is BAD
    except CannotMount as error:
        pytest.skip(str(error))


def test_open_files_below_the_connections_are_bad(tmp_path: Path) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert only(machine.descriptors(Settings(home=tmp_path, max_connections=soft + 1))).level is BAD
    assert only(machine.descriptors(Settings(home=tmp_path, max_connections=soft))).level is WARN


def test_a_log_that_was_written_by_a_clock_ahead_of_this_one_is_bad(tmp_path: Path) -> None:
    settings, now_us = Settings(home=tmp_path), time.time_ns() // 1000

    def log_time() -> Finding:
        return next(one for one in machine.clock(settings, machine.offset_s()) if one.check == "log time")

    assert log_time().found == "no log yet"
    segment(tmp_path / "log", [(1, Ledger(now_us, 1, {}, {}, {}))])
    assert log_time().level is OK
    segment(tmp_path / "log", [(1, Ledger(now_us + 3600_000_000, 1, {}, {}, {}))], number=1)
    assert log_time().level is BAD


def test_a_clock_that_was_set_since_the_checks_began_is_told(tmp_path: Path) -> None:
    found = {one.check: one for one in machine.clock(Settings(home=tmp_path), machine.offset_s() - 3600)}
    assert found["clock step"].level is WARN
