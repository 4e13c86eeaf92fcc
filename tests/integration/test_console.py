"""The console over a real monitor in a real browser: the incident's sentence, its histogram, no error, nobody else asked."""

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.browser import CHROMIUM, Browser, Page, browser
from tests.keys import made
from tests.processes import wait_until
from tests.promises.webhooks.homes import QUICK, one_incident
from tests.promises.webhooks.receiver import receiving
from tests.unit.monitoring.process import DEADLINE_S, Monitor, monitor

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="no chromium here; .ci/packages installs it"),
]
SIZES = ((360, 740), (1280, 800), (2560, 1440))


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
    page.wait_for("document.querySelector('.chart canvas')")
    assert page.evaluate("document.querySelector('.histogram .pill').innerText").endswith("Drifted")
    page.evaluate("document.getElementById('bins').open = true")
    assert "above training" in page.text(".bins")
    well(page, watched)


def test_a_deep_link_opens_the_histogram_of_its_column(chromium: Browser, watched: Monitor) -> None:
    page = opened(chromium, watched, "#payments/1/city")
    page.wait_for("document.querySelector('.histogram h3')?.innerText.startsWith('city')")
    page.wait_for("document.querySelector('.chart canvas')")
    well(page, watched)


def test_a_monitor_with_keys_tells_nothing_without_one_and_ends_its_streams_when_it_stops(
    chromium: Browser, tmp_path: Path
) -> None:
    one_incident(tmp_path)
    with monitor(tmp_path, None, **QUICK, PLUMBLINE_MONITOR_API_KEYS="required") as running:
        page = opened(chromium, running, "")
        assert "found none" in page.text("#key-why")
        assert page.text("#live") == "needs a key"
        assert page.evaluate("document.querySelector('#models').textContent") == ""
        page.evaluate(f"document.getElementById('key').value = {made(tmp_path, 'read')!r}")
        page.evaluate("document.querySelector('#door button').click()")
        page.wait_for("document.querySelector('#live')?.dataset.state === 'live'")
        assert running.end(signal.SIGTERM) == 0
        page.wait_for("document.querySelector('#live').dataset.state === 'lost'")
        page.close()


def test_a_page_of_another_name_is_refused(watched: Monitor) -> None:
    url = f"http://127.0.0.1:{watched.port}/api/status"
    assert httpx.get(url, headers={"host": "evil.example"}, trust_env=False).status_code == 421
    assert watched.get("/api/status").headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_width_and_follows_the_scheme(
    chromium: Browser, watched: Monitor, scheme: str, tmp_path: Path
) -> None:
    for width, height in SIZES:
        page = opened(chromium, watched, "#payments/1/f0", width=width, height=height, scheme=scheme)
        page.wait_for("document.querySelector('.chart canvas') && document.querySelector('.incidents')")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (ground == "rgb(15, 20, 23)") is (scheme == "dark")
        assert page.evaluate(LOW_CONTRAST) == []
        page.screenshot(tmp_path / f"{scheme}-{width}.png")
        well(page, watched)


# Every text whose colour is too near to that of its ground (WCAG 2: 4.5 : 1).
LOW_CONTRAST = """
(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = (rgb) => [0.2126, 0.7152, 0.0722].reduce((sum, part, i) => sum + part * linear(rgb[i] / 255), 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
  };
  const says = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  return [...document.querySelectorAll("body *")]
    .filter((node) => says(node) && node.checkVisibility())
    .map((node) => [node, [light(parts(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => b - a)])
    .filter(([, [a, b]]) => (a + 0.05) / (b + 0.05) < 4.5)
    .map(([node, [a, b]]) => `${node.tagName}.${node.className} ${node.textContent.slice(0, 30)}: ${(a + 0.05) / (b + 0.05)}`);
})()
"""
