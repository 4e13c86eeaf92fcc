"""What does a page look like to a reader? A headless Chromium of a test, told what to do by its DevTools protocol over a pipe.

Laws
- Nothing outlives its `with`: leaving it ends the browser and all its processes.
- What a page complains of (console errors, exceptions, violated policies) and every origin that it asks are kept.
- Nobody is listened to on a port, and no library is needed: messages are JSON that ends in a zero byte.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.processes import LOOK_AGAIN_S

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
DEADLINE_S = 60.0  # a second on a quiet machine
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
ERRORS = ("error", "assert")


class Browser:
    """One Chromium; `send` answers with the result of a command, events go to the page that they are of."""

    def __init__(self, profile: Path) -> None:
        theirs_out, self._write = os.pipe()
        self._read, theirs_in = os.pipe()
        # The protocol is read from 3 and written to 4, which a shell gives it: so the pipes themselves must have other numbers.
        commands_out, answers_in = (fcntl.fcntl(one, fcntl.F_DUPFD, 10) for one in (theirs_out, theirs_in))
        argv = [CHROMIUM, *ARGUMENTS, f"--user-data-dir={profile}"]
        moved = f'exec "$@" 3<&{commands_out} 4>&{answers_in}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", moved, "chromium", *argv],
            pass_fds=(commands_out, answers_in),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for one in (theirs_out, theirs_in, commands_out, answers_in):
            os.close(one)
        self._rest, self._number, self._pages = b"", 0, dict[str, Page]()
        self._answers: dict[int, dict[str, Any]] = {}

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Raises AssertionError where the browser refuses or does not answer."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        os.write(self._write, json.dumps({**message, **({"sessionId": session} if session else {})}).encode() + b"\0")
        end = time.monotonic() + DEADLINE_S
        while number not in self._answers:
            assert time.monotonic() < end, f"{method}: no answer within {DEADLINE_S:g} s"
            self.listen(0.5)
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def listen(self, wait_s: float) -> None:
        """Takes what the browser says within so long."""
        if not select.select([self._read], [], [], wait_s)[0]:
            return
        read = os.read(self._read, 1 << 20)
        assert read, "the browser ended"
        *whole, self._rest = (self._rest + read).split(b"\0")
        for message in map(json.loads, whole):
            if "id" in message:
                self._answers[message["id"]] = message
            elif message.get("sessionId") in self._pages:
                self._pages[message["sessionId"]].told(message["method"], message["params"])

    def page(self, *, width: int = 1280, height: int = 800, scheme: str = "light") -> "Page":
        """A new, empty page of this size."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session, target)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.send(f"{domain}.enable")
        page.size(width, height)
        page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        return page

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(DEADLINE_S)
        os.close(self._read)
        os.close(self._write)


class Page:
    """`problems`: what it complained of; `origins`: whom it asked for something."""

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser, self._session, self._target = browser, session, target
        self.problems: list[str] = []
        self.origins: set[str] = set()

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.send(method, self._session, **params)

    def size(self, width: int, height: int) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def told(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Runtime.consoleAPICalled" if params["type"] in ERRORS:
                self.problems.append(" ".join(str(one.get("value", one.get("description"))) for one in params["args"]))
            case "Runtime.exceptionThrown":
                detail = params["exceptionDetails"]
                self.problems.append(str(detail.get("exception", {}).get("description", detail["text"])))
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.problems.append(f"{params['entry']['text']} {params['entry'].get('url', '')}".strip())
            case "Network.requestWillBeSent":
                parts = urlsplit(params["request"]["url"])
                self.origins.add(f"{parts.scheme}://{parts.netloc}")

    def open(self, url: str) -> None:
        answer = self.send("Page.navigate", url=url)
        assert "errorText" not in answer, answer

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression: str, deadline_s: float = DEADLINE_S) -> Any:
        """Its first truthy value; an element is True."""
        end, asked = time.monotonic() + deadline_s, f"((found) => (found instanceof Node ? true : found))({expression})"
        while not (value := self.evaluate(asked)):
            assert time.monotonic() < end, f"{expression}: not so within {deadline_s:g} s; problems: {self.problems}"
            self._browser.listen(LOOK_AGAIN_S)
        return value

    def press(self, key: str) -> None:
        """A key such as Tab, Enter, ArrowRight."""
        text = {"text": "\r"} if key == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        self._browser.send("Target.closeTarget", targetId=self._target)


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A Chromium with nothing in its profile that lives as long as the block."""
    running = Browser(profile)
    try:
        yield running
    finally:
        running.end()
