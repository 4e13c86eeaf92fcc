"""`GET /api/power` and `plumbline monitor power`: the card as the running monitor reckons it."""

import asyncio
import json
from pathlib import Path
from threading import Thread

import httpx
import msgspec
import pytest
import uvicorn
from click.testing import CliRunner, Result
from rich.console import Console

from monitoring.cli import monitor
from monitoring.exporter import app
from monitoring.power.card import PowerCard, Sensitivity, Within
from monitoring.power.command import _show
from monitoring.power.route import power_route
from monitoring.power.shifts import Change
from monitoring.pulse import Pulse
from tests.processes import free_port, wait_until
from tests.unit.monitoring.test_exporter import MADE, status

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url():
    """A monitor's page over a state of ten minutes of 60 rows each."""
    port = free_port()
    pulse = Pulse(status(), 30.0)
    served = app(pulse, [power_route(pulse.status, MADE.references)])
    server = uvicorn.Server(uvicorn.Config(served, port=port, log_config=None, lifespan="off"))
    thread = Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    wait_until(lambda: server.started, 10, "the page")
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


def run(url: str, home: Path, *words: str, code: int = 0) -> Result:
    found = CliRunner().invoke(monitor, ["--home", str(home), "power", "--monitor", url, *words])
    assert found.exit_code == code, found.output
    return found


def test_the_api_reckons_with_the_present_traffic_and_with_what_it_is_asked_about(url: str) -> None:
    (present,) = msgspec.json.decode(httpx.get(f"{url}/api/power", timeout=60).content, type=list[PowerCard])
    assert 30 < present.rows_per_minute < 90
    assert {one.column for one in present.columns} == {"f0", "f1", "f2", "city", "score"}
    asked = httpx.get(f"{url}/api/power", params={"model": "payments", "rows_per_minute": 1}, timeout=60).json()
    assert asked[0]["rows_per_minute"] == 1
    assert httpx.get(f"{url}/api/power", params={"model": "other"}, timeout=60).json() == []


@pytest.mark.parametrize("rate", ["-1", "many", "nan", "inf", "1e18", "1e300"])
def test_a_rate_that_is_none_is_refused(url: str, rate: str) -> None:
    answer = httpx.get(f"{url}/api/power", params={"rows_per_minute": rate})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_input")


def test_the_command_says_it_for_people_and_for_programs(url: str, tmp_path: Path) -> None:
    shown = run(url, tmp_path, "payments", "--rows-per-minute", "20").stdout
    assert "payments:1 at 20 rows a minute" in shown
    assert "σ (PSI" in shown
    assert "not within: too few rows" in run(url, tmp_path, "--rows-per-minute", "0.01").stdout
    assert json.loads(run(url, tmp_path, "--json").stdout)[0]["model"] == "payments"


def test_a_name_with_brackets_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    within = (Within(600, why="x"), Within(3600, why="x"), Within(86_400, why="x"))
    columns = tuple(Sensitivity("feature", name, Change.SHIFT, 1.0, within) for name in ("amount[usd]", "[/b]"))
    _show(Console(width=100), PowerCard("m", "1", 10.0, columns))
    shown = capsys.readouterr().out
    assert "amount[usd]" in shown and "[/b]" in shown


def test_without_a_monitor_the_command_says_what_it_expected(tmp_path: Path) -> None:
    found = run(f"http://127.0.0.1:{free_port()}", tmp_path, code=3)
    assert "expected a monitor that answers" in found.stderr
