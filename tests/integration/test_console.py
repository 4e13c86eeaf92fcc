"""The console over a real monitor in a real browser: the incident's sentence, its histogram, no error, nobody else asked."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import httpx
import pytest
from playwright.sync_api import Route

from tests.browser import CHROMIUM, Browser, Page, browser
from tests.console_home import SETTINGS, busy
from tests.keys import made
from tests.processes import wait_until
from tests.promises.webhooks.homes import QUICK, one_incident
from tests.promises.webhooks.receiver import receiving
from tests.unit.monitoring.process import DEADLINE_S, Monitor, monitor

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="no chromium here; .ci/packages installs it"),
]
SIZES = ((360, 740), (1280, 800), (3840, 2160))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    """A monitor with an open incident that a receiver has taken."""
    home = tmp_path_factory.mktemp("home")
    one_incident(home)
    with receiving() as receiver, monitor(home, receiver, **QUICK) as running:
        wait_until(lambda: len(receiver.taken) == 1, DEADLINE_S, "the event is taken")
        yield running


def opened(chromium: Browser, running: Monitor, place: str, **how: object) -> Page:
    page = chromium.page(**how)  # type: ignore[arg-type]
    page.open(f"http://127.0.0.1:{running.port}/{place}")
    return page


def well(page: Page, running: Monitor) -> None:
    """It complained of nothing and asked nobody but its monitor."""
    assert page.problems == []
    assert page.origins == {f"http://127.0.0.1:{running.port}"}
    page.close()


def test_the_page_says_what_happened_what_to_do_and_who_was_told(chromium: Browser, watched: Monitor) -> None:
    page = opened(chromium, watched, "")
    assert "f0 arrives 1000 times too large" in page.text(".headline .sentence").replace("`", "")
    assert page.text(".headline .word").split()[:2] == ["▲", "Incident"]
    assert "mend the source" in page.text(".headline .todo")
    assert "f0 arrives 1000 times too large" in page.text(".incidents .story")
    page.wait_for("document.querySelector('.incidents .life')?.innerText.includes('webhook: taken')")
    assert "payments" in page.text("#models table")
    assert page.evaluate("document.title").startswith("▲ Incident")
    assert page.text("#live") == "live"
    assert "[object" not in page.text("body")
    assert "webhook" in page.text("#ledger")
    well(page, watched)


def test_a_cell_of_the_heat_map_opens_training_against_now(chromium: Browser, watched: Monitor) -> None:
    page = opened(chromium, watched, "#payments/1")
    cell = "document.querySelector('.heat td[tabindex=\"0\"]')"
    assert "drifted" in page.wait_for(f"{cell}?.getAttribute('aria-label')")
    page.evaluate(f"{cell}.focus()")
    for key in ("ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight", "Enter"):
        page.press(key)
    page.wait_for("location.hash.startsWith('#payments/1/f0/')")
    page.wait_for("document.querySelector('.histogram canvas')")
    assert page.text(".histogram .pill").endswith("Drifted")
    page.evaluate("document.getElementById('bins').open = true")
    assert "above training" in page.text(".bins")
    well(page, watched)


def test_a_deep_link_opens_the_histogram_of_its_column(chromium: Browser, watched: Monitor) -> None:
    page = opened(chromium, watched, "#payments/1/city")
    page.wait_for("document.querySelector('.histogram h3')?.innerText.startsWith('city')")
    page.wait_for("document.querySelector('.histogram canvas')")
    well(page, watched)


def test_a_monitor_with_keys_tells_nothing_without_one_and_ends_its_streams_when_it_stops(
    chromium: Browser, tmp_path: Path
) -> None:
    one_incident(tmp_path)
    with monitor(tmp_path, None, **QUICK, PLUMBLINE_MONITOR_API_KEYS="required") as running:
        page = opened(chromium, running, "")
        assert "found none" in page.text("#key-why")
        assert page.grave_findings() == []
        assert page.text("#live") == "needs a key"
        assert page.evaluate("document.querySelector('#models').textContent") == ""
        page.evaluate(f"document.getElementById('key').value = {made(tmp_path, 'read')!r}")
        page.evaluate("document.querySelector('#door button').click()")
        page.wait_for("document.querySelector('#live')?.dataset.state === 'live'")
        assert running.end(signal.SIGTERM) == 0
        page.wait_for(
            "document.querySelector('#live').dataset.state === 'lost' && document.body.classList.contains('stale')"
        )
        assert page.grave_findings() == []
        page.close()


def test_a_page_of_another_name_is_refused(watched: Monitor) -> None:
    url = f"http://127.0.0.1:{watched.port}/api/status"
    assert httpx.get(url, headers={"host": "evil.example"}, trust_env=False).status_code == 421
    assert watched.get("/api/status").headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("keys", ["off", "required"])
def test_behind_a_proxy_the_page_of_a_name_of_the_settings_changes_something(tmp_path: Path, keys: str) -> None:
    one_incident(tmp_path)
    named = {"PLUMBLINE_MONITOR_HOSTS": '["monitor.example"]', "PLUMBLINE_MONITOR_API_KEYS": keys}
    with monitor(tmp_path, None, **QUICK, **named) as running:

        def code(origin: str) -> str:
            url = f"http://127.0.0.1:{running.port}/api/orders/payments"
            answer = httpx.post(url, json={"do": "look"}, headers={"origin": origin}, trust_env=False)
            return str(answer.json()["code"])

        assert code("https://monitor.example") == "not_authorised"
        assert code("https://evil.example") == "foreign_origin"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    """A monitor with two incidents, a canary in a rollout, labels and three hours of traffic."""
    home = tmp_path_factory.mktemp("full")
    busy(home)
    with monitor(home, None, **SETTINGS) as running:
        yield running


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_width_follows_the_scheme_and_shuts_nobody_out(
    chromium: Browser, full: Monitor, scheme: Literal["light", "dark"], tmp_path: Path
) -> None:
    for width, height in SIZES:
        page = opened(chromium, full, "#payments/1/f0", width=width, height=height, scheme=scheme)
        page.wait_for("document.querySelector('.histogram canvas') && document.querySelector('#traffic canvas')")
        page.wait_for("document.querySelector('.incidents .act') && document.querySelector('.rollouts .act')")
        page.wait_for("document.querySelector('#labels table')")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (ground == "rgb(15, 20, 23)") is (scheme == "dark")
        page.screenshot(tmp_path / f"{scheme}-{width}.png", whole=True)
        page.find(".rows summary").click()
        assert "stable-" in page.text(".rows tbody")
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.grave_findings() == []
        page.find(".incidents .act", has_text="Silence").click()
        page.find("#act-token").fill("admin-token")
        page.find("#act-by").fill("ada")
        page.find("#act-why").fill("a backfill")
        assert page.grave_findings() == []
        page.find("#act-look").click()
        assert "are held until" in page.text(".change")
        assert page.grave_findings() == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        well(page, full)


def test_a_range_of_traffic_stands_in_the_address_and_is_drawn_by_version(chromium: Browser, full: Monitor) -> None:
    page = opened(chromium, full, "#payments?last=24h")
    lines = "[...document.querySelectorAll('#traffic tbody th')].map((one) => one.innerText)"
    page.wait_for(f"{lines}.length === 2")
    assert page.evaluate(lines) == ["1 stable", "2 canary"]
    assert page.text("#traffic .ranges [aria-current]") == "24 h"
    page.find("#range-30m").click()
    page.wait_for("document.querySelector('#traffic .ranges [aria-current]').innerText === '30 min'")
    assert page.evaluate("location.hash") == "#payments?last=30m"
    page.wait_for("document.querySelector('#models a').hash.endsWith('?last=30m')")
    told = full.get("/api/series?model=payments&range=3h").json()
    assert [(one["version"], one["arm"]) for one in told["lines"]] == [("1", "stable"), ("2", "canary")]
    assert len(told["at_s"]) == len(told["lines"][0]["latency_ms_p99"]) == 180
    assert full.get("/api/series?range=year").status_code == 400
    well(page, full)


def test_charts_that_are_drawn_again_and_again_leave_nothing_behind(chromium: Browser, full: Monitor) -> None:
    page = opened(chromium, full, "#payments/1/f0")
    page.wait_for("document.querySelector('.histogram canvas')")

    def drawn_again(times: int) -> dict[str, int]:
        for place in ("#payments/1/f0?last=24h", "#payments/1/f1?last=30m", "#payments/1/f0") * times:
            page.evaluate(f"location.hash = {place!r}")
            page.wait_for(f"document.querySelector('.histogram h3')?.innerText.startsWith({place[12:14]!r})")
            page.wait_for("document.querySelectorAll('#traffic canvas').length === 3")
            page.wait_for("document.querySelectorAll('.histogram canvas').length === 1")
        return page.kept()

    before, after = drawn_again(2), drawn_again(6)
    assert after["jsEventListeners"] <= before["jsEventListeners"] + 10, (before, after)
    assert after["nodes"] <= before["nodes"] + 200, (before, after)
    well(page, full)


def test_a_chart_that_comes_late_is_not_drawn_under_another_address(chromium: Browser, full: Monitor) -> None:
    page = opened(chromium, full, "#payments")
    page.wait_for("document.querySelectorAll('#traffic canvas').length === 3")
    series = page.hold("**/api/series?*range=24h", "GET")
    page.evaluate("location.hash = '#payments?last=24h'")
    late = series()
    page.evaluate("location.hash = '#payments'")
    here = "document.querySelector('#traffic .ranges [aria-current]').innerText"
    watch = f"new MutationObserver(() => drawn.add({here})).observe(document.querySelector('#traffic'), {{childList: true}})"
    page.evaluate(f"globalThis.drawn = new Set(); {watch}")
    let_go(late)
    page.evaluate("location.hash = '#payments?last=30m'")
    page.wait_for("drawn.has('30 min')")
    assert page.evaluate("drawn.has('24 h')") is False
    well(page, full)


def asked_for(page: Page, what: str, why: str) -> None:
    """Looks at what this would do to the first incident that offers it."""
    page.find(".incidents .act", has_text=what).click()
    page.find("#act-token").fill("admin-token")
    page.find("#act-by").fill("ada")
    page.find("#act-why").fill(why)
    page.find("#act-look").click()


def let_go(one: Route) -> None:
    """Returns when the page has the whole answer."""
    one.continue_()
    answer = one.request.response()
    assert answer is not None
    answer.finished()


def left(page: Page) -> None:
    """By the key that closes a dialog."""
    page.press("Escape")
    page.wait_for("!document.querySelector('#act').open")


def test_what_is_answered_to_a_dialog_that_was_left_is_not_shown_in_another(chromium: Browser, full: Monitor) -> None:
    page = opened(chromium, full, "#payments")
    silence, ack = page.hold("**/api/silences"), page.hold("**/api/incidents/*/ack")
    asked_for(page, "Silence", "a backfill")
    late = silence()
    left(page)
    page.find(".incidents .act", has_text="Acknowledge").click()
    page.find("#act-why").fill("on it")
    let_go(late)
    assert page.text("#act-title") == "Acknowledge"
    assert page.evaluate("document.activeElement.id") == "act-why"
    page.find("#act-look").click()
    let_go(ack())
    assert page.text("#act-do") == "Acknowledge now"
    left(page)
    well(page, full)


def test_an_order_that_is_under_way_keeps_its_dialog_and_one_that_is_lost_is_not_told_as_not_done(
    chromium: Browser, full: Monitor
) -> None:
    page = opened(chromium, full, "#payments")
    ack = page.hold("**/api/incidents/*/ack")
    asked_for(page, "Acknowledge", "on it")
    let_go(ack())
    page.find("#act-do").click()
    lost = ack()
    for _ in range(3):  # a browser lets a page hold the first cancel only
        page.press("Escape")
    assert page.evaluate("document.querySelector('#act').open")
    lost.abort()
    assert "not known whether it was done" in page.text("#act-problem")
    page.find("#act-look").click()
    let_go(ack())
    page.find("#act-do").click()
    let_go(ack())
    page.wait_for("document.querySelector('#act-done')")
    left(page)
    page.wait_for("document.querySelector('.incidents .life').innerText.includes('acknowledged by ada: on it')")
    page.problems = [one for one in page.problems if "ERR_FAILED" not in one]  # the lost one, as Chromium logs it
    well(page, full)
