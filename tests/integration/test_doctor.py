"""`plumbline doctor` as a person runs it: on a clean home, on a home that is served, where the monitor cannot start."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Process, answers, environment, free_port, home, plumbline, served
from tests.unit.service.serving import furnish

pytestmark = pytest.mark.integration
DEADLINE_S = 240.0
FAULT = 1
# What the machine that runs the test decides: whether NTP keeps its clock, how large it is, what is installed beside the lock.
MACHINES = ("clock", "clock step", "disk", "file descriptors", "package ")
ROOM = {"PLUMBLINE_ARCHIVE_BYTES_MAX": "1", "PLUMBLINE_LOG_RAW_BYTES_MAX": "1"}


def doctor(place: Path, *words: str, code: int = 0, **changes: str) -> dict[str, dict[str, Any]]:
    """Its findings by check, which are the same as a table and in JSON."""
    env = environment(
        **{**ROOM, "PLUMBLINE_PORT": str(free_port()), "PLUMBLINE_MONITOR_PORT": str(free_port()), **changes}
    )
    command = plumbline("doctor", "--home", place, "--json", *words)
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == code, done.stdout + done.stderr
    return {one["check"]: one for one in json.loads(done.stdout)}


def not_ok(findings: dict[str, dict[str, Any]]) -> list[str]:
    return [check for check, one in findings.items() if one["level"] != "ok" and not check.startswith(MACHINES)]


def test_a_clean_home_is_all_ok(tmp_path: Path) -> None:
    place = home(tmp_path)
    assert not_ok(doctor(place)) == []
    assert list(place.iterdir()) == [], "looking changes nothing"
    furnish(place)
    found = doctor(place, "--deep")
    assert not_ok(found) == []
    assert {"model mixed:1", "model mixed:2", "model image:1", "routes", "monitor port", "log time"} <= set(found)


def test_ports_that_plumbline_itself_holds_are_ok_and_its_log_is_read(tmp_path: Path) -> None:
    place, port = home(tmp_path), free_port()
    furnish(place)
    watch = plumbline("monitor", "--home", place, "--monitor-port", port)
    with served(place) as (_, url), Process(watch, env=environment()) as monitor:
        monitor.wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), DEADLINE_S, "the monitor is up")
        held = {"PLUMBLINE_PORT": url.rpartition(":")[2], "PLUMBLINE_MONITOR_PORT": str(port)}
        found = doctor(place, **held)
        assert not_ok(found) == []
        assert "this home's service" in found["service port"]["found"]
        assert "held by a monitor" in found["monitor port"]["found"]
        assert found["monitor health"]["found"] == "healthy"
        other = home_beside(tmp_path)
        assert doctor(other, code=FAULT, **held)["service port"]["level"] == "bad", "held, but by another home's"


def home_beside(tmp_path: Path) -> Path:
    place = tmp_path / "other"
    place.mkdir()
    return place


def test_settings_of_the_monitor_that_stop_its_start_are_bad_and_the_rest_is_still_told(tmp_path: Path) -> None:
    place = home(tmp_path)
    (place / "plumbline.toml").write_text('[monitor]\nweb_hook = "http://127.0.0.1"\n')
    found = doctor(place, code=FAULT)
    assert not_ok(found) == ["monitor settings"]
    assert "web_hook" in found["monitor settings"]["found"]


def test_a_line_a_check_for_people(tmp_path: Path) -> None:
    place = home(tmp_path)
    place.chmod(0o777)
    command = plumbline("doctor", "--home", place)
    done = subprocess.run(command, env=environment(), check=False, capture_output=True, text=True, timeout=DEADLINE_S)
    lines = done.stdout.splitlines()
    assert done.returncode == FAULT
    assert all(line.startswith(("ok    ", "warn  ", "bad   ")) and "; expected " in line for line in lines)
    assert any(line.endswith(f"do: chmod o-w {place}") for line in lines)
