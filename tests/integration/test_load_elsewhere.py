"""Locust against what is no open service of this machine: one that asks for keys, and a proxy that answers for nobody."""

import re
import sys
from pathlib import Path

import pytest

from tests.keys import made
from tests.processes import Process, environment, home, served
from tests.scripted import Asked, scripted

pytestmark = pytest.mark.integration

DEADLINE_S = 120.0
LOCUST = (sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "--users", "4")


def locust(url: str, report: Path, *words: str, **settings: str) -> Process:
    objective = ("--p99-ms", "600000", "--errors-share", "1", "--report", str(report))
    return Process([*LOCUST, "--host", url, *objective, *words], env=environment(**settings))


def test_an_answer_that_is_no_json_is_counted_as_wrong(tmp_path: Path) -> None:
    def say(asked: Asked) -> None:
        asked.rfile.read(int(asked.headers.get("content-length", 0)))
        asked.reply(200, b"<html>Bad gateway</html>", x_request_id=asked.headers.get("x-request-id", ""))

    report = tmp_path / "proxy.html"
    with scripted(say) as server:
        words = ("PaymentsByName", "--run-time", "3s", "--home", str(tmp_path))
        with locust(f"http://{server.host}", report, *words) as process:
            assert process.wait(DEADLINE_S) == 1, process.tail()
        asked = sum(path.endswith(":predict") for path, _ in server.asked)
    text = report.read_text()
    (n,) = re.findall(r"Nothing went right of ([\d,]+) requests", text)[:1]
    assert int(n.replace(",", "")) == asked > 0
    assert "exception" not in text


def test_an_exception_of_a_user_is_in_the_notes_and_misses_the_objective(tmp_path: Path) -> None:
    def say(asked: Asked) -> None:
        asked.rfile.read(int(asked.headers.get("content-length", 0)))
        asked.reply(200, b"<html>no metadata</html>")

    report = tmp_path / "raised.html"
    with (
        scripted(say) as server,
        locust(f"http://{server.host}", report, "TumoursMatrix", "--run-time", "3s") as process,
    ):
        assert process.wait(DEADLINE_S) == 1, process.tail()
    assert "A user of locust raised an exception" in report.read_text()


@pytest.mark.parametrize("scenario", ["steady", "slow"])
def test_a_service_that_asks_for_keys_is_sent_the_one_of_the_environment(tmp_path: Path, scenario: str) -> None:
    place = home(tmp_path)
    secret = made(place, "predict", "read")
    report = tmp_path / "keyed.html"
    with (
        served(place, PLUMBLINE_API_KEYS="required") as (_, url),
        locust(
            url, report, "--scenario", scenario, "--run-time", "6s", "--home", str(place), PLUMBLINE_API_KEY=secret
        ) as one,
    ):
        assert one.wait(DEADLINE_S) == 0, one.tail()
    assert "/metrics could not be read" not in report.read_text()
