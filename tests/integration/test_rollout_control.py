"""A real monitor carries a rollout of a real service out: a bad canary goes, a good one becomes stable, whoever is killed."""

from collections.abc import Iterator

import httpx
import pytest

from service.routes_document import CanaryEntry, ModelRoutes
from tests.faulty import faulty
from tests.processes import home, wait_until
from tests.rolling_out import Callers, Stage, staged

pytestmark = pytest.mark.integration

A_MINUTE, MINUTES_MAX = 120, 30
LOOK_S = 10.0
PLAN = """
version = "2"
bake_s = 300
requests_min = 100
[guards.errors]
tolerance = 0.05
[guards.predictions]
tolerance = 0.2
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    place = home(tmp_path_factory.mktemp("rollouts"))
    bad, good = faulty(failing=0.6), faulty(failing=0.01)
    with staged(place, PLAN, bad=bad, good=good, held=good) as made:
        yield made


def until(stage: Stage, callers: Callers, wanted: ModelRoutes) -> int:
    """Minutes that pass until the routes are so."""
    for number in range(MINUTES_MAX):
        if stage.routes(callers.model) == wanted:
            return number
        callers.ask_for_a_minute(A_MINUTE)
    raise AssertionError(f"after {MINUTES_MAX} minutes: {stage.routes(callers.model)}")


def test_a_bad_canary_is_taken_out_and_the_log_says_why(stage: Stage) -> None:
    callers = stage.callers("bad", seed=1)
    with stage.monitored() as (_, url):
        assert "version 2 has 30 %" in stage.command("start", "bad", "2", "--steps", "30,100", "--why", "release 42")
        minutes = until(stage, callers, ModelRoutes(stable="1"))
        assert 1 <= minutes < 10
        changes = stage.asked("/admin/routes/bad/history")["changes"]
        assert [one["by"] for one in changes[-1:]] == ["plumbline-rollout"]
        assert (changes[-1]["asked"]["do"], changes[-2]["why"]) == ("abort", "release 42")
        assert changes[-1]["why"].startswith("roll back: errors (errors): canary")
        before = callers.arms["canary"]
        callers.ask_for_a_minute(A_MINUTE)
        assert callers.arms["canary"] == before

        def gate() -> bool:
            return httpx.get(f"{url}/gate/argo?model=bad", trust_env=False).json()["result"] == "stop"

        wait_until(gate, LOOK_S, "the gate says stop")
        hook = {"name": "podinfo", "namespace": "test", "phase": "Progressing", "metadata": {"model": "bad"}}
        answers = [httpx.post(f"{url}/gate/flagger{path}", json=hook, trust_env=False) for path in ("", "/rollback")]
        assert [answer.status_code for answer in answers] == [403, 200]
        stage.command("replay", "bad")


def test_a_good_canary_becomes_stable_though_the_monitor_is_killed_on_the_way(stage: Stage) -> None:
    callers = stage.callers("good", seed=2)
    with stage.monitored() as (monitor, _):
        stage.command("start", "good", "2", "--steps", "30,60,100")
        until(stage, callers, ModelRoutes(stable="1", canary=CanaryEntry("2", 60.0)))
        monitor.kill()
    callers.ask_for_a_minute(A_MINUTE)
    assert stage.routes("good").canary == CanaryEntry("2", 60.0)
    with stage.monitored():
        until(stage, callers, ModelRoutes(stable="2", previous="1"))
    changes = [one for one in stage.asked("/admin/routes/good/history")["changes"] if one["by"] == "plumbline-rollout"]
    assert [one["asked"]["do"] for one in changes] == ["canary", "canary", "promote"]
    assert [one["asked"].get("percent") for one in changes] == [60.0, 100.0, None]
    assert callers.arms["canary"] > callers.failed["canary"]


def test_a_person_pauses_changes_a_share_by_hand_and_ends_it(stage: Stage) -> None:
    callers = stage.callers("held", seed=3)
    stage.command("start", "held", "2", "--steps", "30,100")
    assert "paused" in stage.command("pause", "held", "--why", "lunch")
    with stage.monitored() as (_, url):

        def stands() -> str | None:
            told = httpx.get(f"{url}/api/status", trust_env=False).json()["rollouts"]
            return next((one["stands"] for one in told if one["model"] == "held"), None)

        for _ in range(8):
            callers.ask_for_a_minute(A_MINUTE)
        wait_until(lambda: stands() == "paused", LOOK_S, "it waits")
        assert stage.routes("held").canary == CanaryEntry("2", 30.0)
        stage.command("abort", "held")
        wait_until(lambda: stands() == "no_canary", LOOK_S, "it is out")
        callers.ask_for_a_minute(A_MINUTE)
        assert stage.routes("held") == ModelRoutes(stable="1")
