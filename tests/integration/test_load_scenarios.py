"""Locust's scenarios by name against a real service: alone, from locust's page, and by two workers, with their reports."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadtests.load.plans import Scenario
from loadtests.load.rollout import Conductor
from tests.load import Load
from tests.processes import Process, answers, environment, free_port, home, served

pytestmark = pytest.mark.integration

TOKEN = "the-token-of-a-test"
LOCUST = ("-m", "locust", "-f", "loadtests/locustfile.py")
ANY_SPEED = ("--p99-ms", "600000", "--errors-share", "1")  # a test says nothing of how fast this machine is
DEADLINE_S = 120.0
SHORT_S = (2, 10, 60)  # a machine on which nothing went right in so many seconds is given more of them
NOTHING = "Nothing went right"
FIGURES = re.compile(r"log: received ([\d,]+) = answered ([\d,]+) \+ rejected 0 \+ shed 0 \+ failed 0")


@dataclass(frozen=True)
class Running:
    home: Path
    url: str

    def locust(self, *words: str | Path | int) -> Process:
        """A locust that is told this service and its home."""
        argv = [sys.executable, *LOCUST, "--host", self.url, "--home", str(self.home), *map(str, words)]
        return Process(argv, env=environment(PLUMBLINE_ADMIN_TOKEN=TOKEN))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    place = home(tmp_path_factory.mktemp("load"))
    with served(place, PLUMBLINE_ADMIN_TOKEN=TOKEN) as (_, url):
        yield Running(place, url)


def test_a_spike_is_told_from_all_three_sides(running: Running, tmp_path: Path) -> None:
    report = tmp_path / "deep" / "spike.html"
    spike = ("--headless", "--scenario", "spike", "--users", 10, "--run-time", "14s", "--report", report)
    with running.locust(*spike, *ANY_SPEED, "--json") as locust:
        assert locust.wait(DEADLINE_S) == 0, locust.tail()
        predicted = predictions(locust.output())
    text = report.read_text()
    assert "The objective was met" in text
    received, answered = told(FIGURES, text)
    assert received == answered == predicted
    assert f"counters {received:,} = log {received:,}, outcome by outcome" in text
    assert "log verify: no gap, no damage, no difference" in text
    assert ">payments 1<" in text
    assert text.count("<svg") == 2
    assert "class=bad" not in text
    assert "MiB" in text


def test_the_books_add_up_also_where_others_ask_before_during_and_after_the_run(
    running: Running, tmp_path: Path
) -> None:
    report = tmp_path / "shared.html"
    steady = ("--headless", "--users", 4, "--run-time", "4s", "--report", report, *ANY_SPEED)
    others = Load(f"{running.url}/v1/models/payments:predict", clients=2, name="other")
    with others.running(), running.locust(*steady) as locust:
        assert locust.wait(DEADLINE_S) == 0, locust.tail()
    text = report.read_text()
    assert "others asked between the looks" in text and "that locust did not count" in text
    assert "class=bad" not in text


@pytest.mark.timeout(900)  # eight runs, and a report of each
def test_every_scenario_can_be_chosen_on_locusts_page_and_ends_by_itself(running: Running, tmp_path: Path) -> None:
    report = tmp_path / "page.html"
    port = free_port()
    elsewhere = ("--home", tmp_path)  # the other tests read the log; eight times more would only take time
    page = ("--web-host", "127.0.0.1", "--web-port", port, "--report", report, *elsewhere, *ANY_SPEED)
    address = f"http://127.0.0.1:{port}"
    # locust's page waits while a report is drawn
    asking = httpx.Client(base_url=address, trust_env=False, timeout=DEADLINE_S)
    with running.locust(*page) as locust, asking as client:
        locust.wait_until(lambda: answers(address), DEADLINE_S, "locust's page")
        shown = client.get("/").text
        assert all(f'"{scenario.value}"' in shown for scenario in Scenario)
        assert TOKEN not in shown
        for scenario in Scenario:
            for seconds in SHORT_S:
                before = client.get("/load-report").text
                form = {"user_count": 6, "spawn_rate": 6, "host": running.url, "scenario": scenario.value}
                answer = client.post("/swarm", data={**form, "run_time": f"{seconds}s"})
                assert answer.json()["success"], answer.text
                locust.wait_until(partial(ended, client, scenario, before), DEADLINE_S, f"{scenario} has ended")
                assert client.get("/exceptions").json() == {"exceptions": []}
                text = client.get("/load-report").text
                if NOTHING not in text:
                    break
            assert "The objective was met" in text
    assert "Traceback" not in locust.output()


def test_two_workers_are_counted_together_and_a_missed_objective_is_exit_code_1(
    running: Running, tmp_path: Path
) -> None:
    report, port = tmp_path / "workers.html", free_port()
    master = ("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--expect-workers", 2)
    run = ("--headless", "--users", 8, "--run-time", "4s", "--report", report, "--json", "--p99-ms", "0.2")
    worker = ("--worker", "--master-host", "127.0.0.1", "--master-port", port)
    with running.locust(*master, *run) as led, running.locust(*worker), running.locust(*worker):
        assert led.wait(DEADLINE_S) == 1, led.tail()
        predicted = predictions(led.output())
    text = report.read_text()
    assert "The objective was missed" in text
    received, _ = told(FIGURES, text)
    shares = told(re.compile(r"Predictions by locust worker: \S+ ([\d,]+), \S+ ([\d,]+)\."), text)
    assert min(shares) > 0
    assert sum(shares) == received == predicted
    assert "did not say what they saw last" not in text


def test_a_canary_gets_its_share_by_the_admin_api_and_loses_it_at_the_end(running: Running) -> None:
    said: list[str] = []
    conductor = Conductor(running.url, TOKEN, said.append)
    conductor.begin()
    conductor.want(5.0)
    assert routes(running)["canary"] == {"version": "2", "percent": 5.0}
    conductor.want(25.0)
    assert routes(running)["canary"]["percent"] == 25.0
    conductor.end()
    assert routes(running).get("canary") is None
    assert said == ["canary 2: 5 %", "canary 2: 25 %", "canary 2: ended"]


def test_a_share_that_is_refused_in_the_middle_leaves_no_canary_behind(running: Running) -> None:
    said: list[str] = []
    conductor = Conductor(running.url, TOKEN, said.append)
    conductor.begin()
    for percent in (5.0, 500.0, 25.0):
        conductor.want(percent)
    assert routes(running)["canary"] == {"version": "2", "percent": 5.0}
    conductor.end()
    assert routes(running).get("canary") is None
    assert said[0] == "canary 2: 5 %" and said[1].startswith("admin API: 4") and said[2:] == ["canary 2: ended"]


def test_somebody_elses_change_of_the_routes_is_left_alone(running: Running) -> None:
    said: list[str] = []
    conductor = Conductor(running.url, TOKEN, said.append)
    conductor.begin()
    conductor.want(5.0)
    with admin(running) as client:
        client.post("/admin/routes/payments", json={"do": "canary", "percent": 7}).raise_for_status()
        conductor.want(25.0)
        conductor.end()
        assert routes(running)["canary"]["percent"] == 7.0
        client.post("/admin/routes/payments", json={"do": "abort"}).raise_for_status()
    assert said == ["canary 2: 5 %", "admin API: 409 routes_conflict"]


def test_without_a_token_nothing_is_asked_of_the_admin_api() -> None:
    said: list[str] = []
    conductor = Conductor("http://127.0.0.1:1", "", said.append)
    conductor.begin()
    conductor.want(5.0)
    conductor.end()
    assert said == ["no admin token: the routes stay as they are"]


@contextmanager
def admin(running: Running) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=running.url, headers={"authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=30
    ) as client:
        yield client


def routes(running: Running) -> dict[str, Any]:
    """Of payments."""
    with admin(running) as client:
        found: dict[str, Any] = client.get("/admin/routes").raise_for_status().json()["models"]["payments"]
        return found


def ended(client: httpx.Client, scenario: Scenario, before: str) -> bool:
    """Whether its report is there, and is not the one from before."""
    answer = client.get("/load-report")
    return answer.status_code == 200 and answer.text != before and f"Load test: {scenario}<" in answer.text


def predictions(output: str) -> int:
    """What locust itself counted, of its JSON, which the logs of a run may precede and follow."""
    lines = json.JSONDecoder().raw_decode(output[output.index("[\n") :])[0]
    return sum(one["num_requests"] for one in lines if ":predict" in one["name"] or "/infer" in one["name"])


def told(pattern: re.Pattern[str], text: str) -> tuple[int, ...]:
    """The figures that a sentence of the report tells."""
    found = pattern.search(text)
    assert found, f"{pattern.pattern}: not in the report"
    return tuple(int(figure.replace(",", "")) for figure in found.groups())
