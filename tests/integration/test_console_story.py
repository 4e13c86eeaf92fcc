"""The story of an incident on the page: it is drawn, told to a receiver, rolled back by a person, and over."""

import json
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.routes_document import ModelRoutes
from tests.browser import CHROMIUM, Browser, Page, browser
from tests.faulty import faulty
from tests.processes import home, wait_until
from tests.promises.webhooks.homes import QUICK
from tests.receiver import SECRET, Receiver
from tests.rolling_out import TOKEN, Stage, staged

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="no chromium here; .ci/packages installs it"),
]
DEADLINE_S = 60.0
MINUTES_MAX = 12
REQUESTS, ROWS = 4, 15
SETTINGS = {
    **QUICK,
    "PLUMBLINE_MONITOR_HOLD_S": "0",
    "PLUMBLINE_MONITOR_COOLDOWN_S": "60",
    "PLUMBLINE_MONITOR_LATENESS_S": "0",
    "PLUMBLINE_WEBHOOK_SECRET": SECRET,
}
PLAN = 'version = "2"\n'


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Version 2 of `scores` says three more than it should; version 2 of `held` is good."""
    place = home(tmp_path_factory.mktemp("story"))
    with staged(place, PLAN, scores=faulty(shift=3.0), held=faulty()) as made:
        yield made


def ask_for_a_minute(stage: Stage, model: str) -> None:
    """A minute of rows as the training had them."""
    rng = np.random.default_rng(stage.minute)
    connection = HTTPConnection(stage.url.removeprefix("http://"), timeout=30)
    for number in range(REQUESTS):
        rows = np.stack([*rng.uniform(0, 0.2, size=(2, ROWS)), rng.normal(size=ROWS)], axis=1).tolist()
        at_us = stage.minute * 60_000_000 + number * 15_000_000
        headers = {"x-event-time": str(at_us), "content-type": "application/json"}
        connection.request("POST", f"/v1/models/{model}:predict", json.dumps({"instances": rows}), headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
    connection.close()
    stage.minute += 1


def pass_minutes(stage: Stage, model: str, page: Page, until: str) -> None:
    """Minutes of traffic until the page shows it."""
    for _ in range(MINUTES_MAX):
        ask_for_a_minute(stage, model)
        page.wait_for("Date.now() && document.querySelector('#live')?.dataset.state === 'live'")
        if page.evaluate(until):
            return
    page.wait_for(until)


def give(page: Page, token: str, why: str) -> None:
    page.find("#act-token").fill(token)
    page.find("#act-by").fill("ada")
    page.find("#act-why").fill(why)
    page.find("#act-look").click()


def test_an_incident_is_drawn_delivered_rolled_back_on_the_page_and_over(chromium: Browser, stage: Stage) -> None:
    order = {"do": "set", "stable": "2", "by": "release", "why": "release 42"}
    admin = {"authorization": f"Bearer {TOKEN}"}
    httpx.post(f"{stage.url}/admin/routes/scores", json=order, headers=admin, trust_env=False).raise_for_status()
    assert stage.routes("scores").stable == "2"
    with Receiver() as receiver:
        settings = {**stage.environment, **SETTINGS, "PLUMBLINE_MONITOR_WEBHOOK_URL": receiver.url}
        with replace(stage, environment=settings).monitored() as (_, url):
            page = chromium.page(width=1440, height=1000)
            page.open(url)
            incident = "document.querySelector('.incidents .pill')?.innerText.includes('Firing')"
            pass_minutes(stage, "scores", page, incident)
            assert "score" in page.text(".headline .sentence")
            page.wait_for("document.querySelector('.incidents .life')?.innerText.includes('webhook: taken')")
            assert [delivery.status for delivery in receiver.deliveries] == [200]
            assert receiver.refused == []
            page.find("#models a", has_text="scores").click()
            page.find(".heat tbody tr", has_text="score").locator("td[aria-label*='drifted']").first.click()
            page.wait_for("document.querySelector('.chart canvas')")
            assert page.text(".histogram h3").startswith("score")

            page.find(".incidents .act", has_text="Acknowledge").click()
            give(page, TOKEN, "on it")
            page.find("#act-do").click()
            page.find("#act-cancel", has_text="Close").click()
            page.wait_for("document.querySelector('.incidents .life').innerText.includes('acknowledged by ada: on it')")

            page.find("#act-headline").click()
            give(page, "wrong", "the new version says three more")
            assert "opens nothing" in page.text("#act-problem")
            assert page.grave_findings() == []
            give(page, TOKEN, "the new version says three more")
            assert "100 %" in page.text(".change")
            assert page.grave_findings() == []
            assert stage.routes("scores").stable == "2"
            page.find("#act-do").click()
            assert "Version 1 answers 100 %" in page.text("#act-done")
            assert "the new version says three more" in page.text("#act .told")
            assert page.grave_findings() == []
            page.find("#act-cancel", has_text="Close").click()
            assert stage.routes("scores") == ModelRoutes(stable="1")
            (*_, last) = stage.asked("/admin/routes/scores/history")["changes"]
            assert (last["by"], last["why"]) == ("ada", "the new version says three more")
            assert TOKEN not in page.evaluate(
                "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
            )

            over = "document.querySelector('.incidents .pill').innerText.includes('Over')"
            pass_minutes(stage, "scores", page, over)
            page.wait_for("document.querySelector('.headline.good .word')?.innerText.includes('All quiet')")
            page.problems = [one for one in page.problems if "401" not in one]  # the wrong token, as Chromium logs it
            assert page.problems == []
            assert page.origins == {url}
            page.close()


def test_a_rollout_is_paused_and_resumed_on_the_page_and_what_moved_meanwhile_is_refused(
    chromium: Browser, stage: Stage
) -> None:
    stage.command("start", "held", "2", "--steps", "30,100")
    with replace(stage, environment={**stage.environment, **SETTINGS}).monitored() as (_, url):
        page = chromium.page(width=360, height=740, scheme="dark")
        page.open(f"{url}/#held/1")
        ask_for_a_minute(stage, "held")
        ask_for_a_minute(stage, "held")
        page.find("#pause-held").click()
        give(page, TOKEN, "lunch")
        page.find("#act-do").click()
        assert "a rollback is still made" in page.text("#act-done")
        page.find("#act-cancel", has_text="Close").click()
        page.wait_for("document.querySelector('.rollouts .pill')?.innerText.includes('Paused')")
        page.find("#abort-held").click()
        give(page, TOKEN, "enough")
        page.wait_for("document.querySelector('#act-do')")
        assert page.grave_findings() == []
        generation = stage.asked("/admin/routes")["generation"]
        body = {"do": "canary", "version": "2", "percent": 40, "generation": generation}
        admin = {"authorization": f"Bearer {TOKEN}"}
        httpx.post(f"{stage.url}/admin/routes/held", json=body, headers=admin, trust_env=False).raise_for_status()
        page.find("#act-do").click()
        assert "Look again" in page.text("#act-problem")
        assert page.grave_findings() == []
        assert stage.routes("held").canary is not None
        orders = page.hold("**/api/orders/held")
        page.find("#act-look").click()
        orders().continue_()
        page.find("#act-do").click()
        orders().abort()
        assert "not known whether it was done; look at the routes" in page.text("#act-problem")
        page.find("#act-look").click()
        orders().continue_()
        page.find("#act-do").click()
        orders().continue_()
        page.wait_for("document.querySelector('#act-done')")
        assert page.grave_findings() == []
        assert stage.routes("held") == ModelRoutes(stable="1")
        page.close()


def test_who_guesses_tokens_is_slowed_down_and_a_foreign_page_is_refused(stage: Stage) -> None:
    with replace(stage, environment={**stage.environment, **SETTINGS}).monitored() as (_, url):

        def order(token: str, **headers: str) -> httpx.Response:
            given = {"authorization": f"Bearer {token}", **headers}
            return httpx.post(
                f"{url}/api/orders/scores", json={"do": "look"}, headers=given, trust_env=False, timeout=30
            )

        assert order(TOKEN, origin="http://evil.example").status_code == 403
        assert order(TOKEN).status_code == 200
        assert [order("forgotten").status_code for _ in range(8)] == [401] * 8
        assert [order(f"wrong {number}").status_code for number in range(4)] == [401] * 4
        refused = order(TOKEN)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_tries")
        assert int(refused.headers["retry-after"]) > 0
        wait_until(lambda: httpx.get(f"{url}/healthz", trust_env=False).status_code == 200, DEADLINE_S, "it goes on")
