"""A shadow of a real service, from the route to the comparison: every answer of it is paired with the answer that was given."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from monitoring.shadows.command import shadows
from service.routes_file import RoutesFile
from tests.processes import Process, answers, environment, free_port, home, plumbline, served, wait_until
from tests.requests import payments_body

pytestmark = pytest.mark.integration
REQUESTS, ROWS = 60, 3


def _command(*words: str | Path) -> str:
    done = subprocess.run(plumbline(*words), env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_monitor_compares_what_a_shadow_said_with_every_answer_that_was_given(tmp_path: Path) -> None:
    place, port = home(tmp_path), free_port()
    url = f"http://127.0.0.1:{port}"
    monitor = plumbline("monitor", "--home", place, "--monitor-port", port)
    settings = environment(PLUMBLINE_MONITOR_ARCHIVE_INTERVAL_S="0", PLUMBLINE_MONITOR_POLL_INTERVAL_S="0.05")
    with served(place, workers=2) as (_, service), Process(monitor, env=settings):
        _command("routes", "set", "payments", "--shadow", "2", "--home", place)
        generation = RoutesFile(place / "routes.toml").read().generation
        wait_until(lambda: _generation(service) == generation, 10, "the shadow is in use")
        with httpx.Client(base_url=service, trust_env=False) as client:
            for number in range(REQUESTS):
                answer = client.post("/v1/models/payments:predict", content=payments_body(ROWS, seed=number))
                assert answer.headers["x-model-version"] == "1"
        wait_until(lambda: answers(f"{url}/healthz"), 20, "the monitor answers")

        def compared() -> list[dict[str, object]] | None:
            told = httpx.get(f"{url}/api/shadows", params={"model": "payments"}, trust_env=False).json()["compared"]
            return told if told and told[0]["requests"] == REQUESTS else None

        (one,) = wait_until(compared, 20, "every answer is paired")
        assert (one["version"], one["shadow"], one["rows"], one["failed"]) == ("1", "2", REQUESTS * ROWS, 0)
        shown = json.loads(_shown("payments", "--monitor", url, "--json"))
        assert shown["compared"] == [one]
        assert shown["unpaired"] == []
        text = _shown("--monitor", url)
        assert f"payments: shadow 2 beside 1, {REQUESTS} requests" in text
        assert "no shadow has answered" in _shown("tumours", "--monitor", url)


def _shown(*words: str) -> str:
    done = CliRunner().invoke(shadows, ["status", *words])
    assert done.exit_code == 0, done.output
    return done.stdout


def _generation(service: str) -> int:
    """The lowest that a worker uses."""
    text = httpx.get(f"{service}/metrics", trust_env=False).text
    (line,) = [line for line in text.splitlines() if line.startswith("plumbline_routes_generation ")]
    return int(float(line.split()[1]))


def test_without_a_monitor_the_command_says_what_it_asked() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = CliRunner().invoke(shadows, ["status", "--monitor", url])
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr.startswith(f"{url}/api/shadows: ")
