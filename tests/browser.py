"""What does a page look like to a reader? A headless Chromium of a test, by Playwright, without any download.

Laws
- Nothing outlives its `with`: leaving it ends the browser and all its processes.
- What a page complains of (console errors, exceptions, violated policies) and every origin that it asks are kept.
- The page's own policies hold: nothing is injected that they would refuse, so what a test sees is what a reader sees.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Locator, Route, sync_playwright
from playwright.sync_api import Page as Tab

from tests.processes import LOOK_AGAIN_S, wait_until

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
DEADLINE_S = 60.0  # a second on a quiet machine
ARGUMENTS = ("--disable-gpu", "--disable-dev-shm-usage", "--disable-component-update")
GRAVE = ("serious", "critical")
_FINDINGS = """
axe.run(document, {resultTypes: ["violations"]}).then((told) => told.violations.map((one) => ({
  impact: one.impact, id: one.id, nodes: one.nodes.map((node) => `${node.target.join(" ")}: ${node.failureSummary}`),
})))
"""


class Browser:
    """One Chromium."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium

    def page(
        self,
        *,
        width: int = 1280,
        height: int = 800,
        scheme: Literal["light", "dark"] = "light",
    ) -> "Page":
        """A new, empty page of this size with nothing stored; who is narrow has a finger in place of a mouse."""
        narrow = width < 500
        context = self._chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            is_mobile=narrow,
            has_touch=narrow,
            reduced_motion="reduce",
        )
        context.set_default_timeout(DEADLINE_S * 1000)
        return Page(context.new_page())


class Page:
    """`problems`: what it complained of; `origins`: whom it asked for something."""

    def __init__(self, tab: Tab) -> None:
        self._tab = tab
        self._protocol = tab.context.new_cdp_session(tab)
        self.problems: list[str] = []
        self.origins: set[str] = set()
        tab.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)
        tab.on("pageerror", lambda error: self.problems.append(str(error)))
        tab.on("request", lambda request: self.origins.add("{0.scheme}://{0.netloc}".format(urlsplit(request.url))))

    def open(self, url: str) -> None:
        self._tab.goto(url)

    def find(self, selector: str, has_text: str | None = None) -> Locator:
        """The first that fits a selector and holds this text, now or in a moment."""
        return self._tab.locator(selector, has_text=has_text).first

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page. By the protocol: Playwright's own way is an eval, which the page forbids."""
        found = self._protocol.send(
            "Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True}
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression: str, deadline_s: float = DEADLINE_S) -> Any:
        """Its first truthy value; an element is True."""
        asked = f"((found) => (found instanceof Node ? true : found))({expression})"

        def look() -> Any:
            self._tab.wait_for_timeout(1000 * LOOK_AGAIN_S)  # Playwright hears of the page only while it is asked
            return self.evaluate(asked)

        return wait_until(look, deadline_s, f"{expression}; problems: {self.problems}")

    def press(self, key: str) -> None:
        """A key such as Tab, Enter, ArrowRight."""
        self._tab.keyboard.press(key)

    def hold(self, pattern: str, method: str = "POST") -> Callable[[], Route]:
        """Holds such requests from now on. Each call waits for the next: `continue_` lets it go, `abort` loses it."""
        held: list[Route] = []
        self._tab.route(pattern, lambda one: held.append(one) if one.request.method == method else one.continue_())

        def look() -> Route | None:
            self._tab.wait_for_timeout(1000 * LOOK_AGAIN_S)
            return held.pop(0) if held else None

        return lambda: wait_until(look, DEADLINE_S, f"a request of {pattern}; problems: {self.problems}")

    def kept(self) -> dict[str, int]:
        """How many `nodes` and `jsEventListeners` of the page something still holds."""
        self._protocol.send("HeapProfiler.collectGarbage")
        found: dict[str, int] = self._protocol.send("Memory.getDOMCounters")
        return found

    def text(self, selector: str) -> str:
        return str(self.wait_for(f"document.querySelector({json.dumps(selector)})?.innerText"))

    def grave_findings(self) -> list[str]:
        """What axe-core finds serious or critical."""
        if not self.evaluate("'axe' in globalThis"):
            self.evaluate(f"{AXE_SCRIPT}; true")
        found = self.evaluate(_FINDINGS)
        return [f"{one['id']}: {node}" for one in found if one["impact"] in GRAVE for node in one["nodes"]]

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        self._tab.screenshot(path=path, full_page=whole)

    def close(self) -> None:
        self._tab.context.close()


@contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium that lives as long as the block; every page has a profile of its own."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, chromium_sandbox=False)
        try:
            yield Browser(chromium)
        finally:
            chromium.close()
