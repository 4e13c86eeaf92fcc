"""What does the service do meanwhile? Looks at its `/metrics` and its memory once a second, and asks the log before and after.

Laws
- A look that fails is a look without numbers: the load goes on.
- The log and the memory are looked at only where the home's service is the one that is asked: on this machine, at this port.
- Looks are bounded: when there are LOOKS_MAX, every second one is left out and the pace is halved.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import gevent
import httpx
import psutil  # locust brings it

from loadtests.load.key import key_headers
from loadtests.load.scraped import Look, Page, page_of

LOOKS_MAX = 4_000  # more than a picture has pixels; of a page a look, some 100 MB of samples at most
PACE_S = 1.0
TIMEOUT_S = 5.0
PUBLISHED_S = 1.0  # what is counted is on /metrics by then: workers publish it within 25 ms, busy ones later
SETTLED_S = 5.0  # workers publish their counters each second
SETTLE_PACE_S = 0.25
VERIFY_S = 600.0  # it reads the whole log
SIGN = "service.json"
FOUND_FAULT = 1


@dataclass(slots=True)
class Watch:
    """Looks until it is stopped; `users`: how many there are now. One client for all looks: to make one takes some 20 ms of the
    thread in which the users' latencies are measured.
    """

    url: str
    home: Path | None
    users: Callable[[], int]
    began_s: float = field(default_factory=time.monotonic)
    looks: list[Look] = field(default_factory=list)
    pace_s: float = PACE_S
    _looking: Any = None
    _client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self._client = httpx.Client(base_url=self.url, headers=key_headers(), timeout=TIMEOUT_S, trust_env=False)

    def start(self) -> None:
        self.began_s = time.monotonic()
        self.looks.append(self.look())
        self._looking = gevent.spawn(self._keep_looking)

    def begin_again(self) -> None:
        """From now on is the run; what was there before it stays the first look."""
        self.began_s = time.monotonic()
        self.looks[:] = [replace(look, at_s=0.0) for look in self.looks[:1]]

    def stop(self, told: Mapping[str, int]) -> None:
        """One last look, when the counters have caught up with what callers were told, outcome by outcome, or do not within
        SETTLED_S.
        """
        if self._looking is not None:
            self._looking.kill()
        end = time.monotonic() + SETTLED_S
        last = self.look()
        while last.page is not None and time.monotonic() < end and self._behind(last.page, told):
            gevent.sleep(SETTLE_PACE_S)
            last = self.look()
        self.looks.append(last)

    def close(self) -> None:
        """Nothing is looked at any more."""
        self._client.close()

    @property
    def before(self) -> Page | None:
        return self.looks[0].page if self.looks else None

    def counted(self) -> Page | None:
        """What the service counted from the first look to the last."""
        after = self.looks[-1].page if self.looks else None
        return after.since(self.before) if after is not None and self.before is not None else None

    def look(self) -> Look:
        page = self.page()
        rss_bytes = resident_bytes(self.home) if self.home is not None else None
        return Look(time.monotonic() - self.began_s, self.users(), page, rss_bytes)

    def page(self) -> Page | None:
        """What `/metrics` says now; None where it cannot be read."""
        try:
            answer = self._client.get("/metrics")
        except httpx.HTTPError:
            return None
        return page_of(answer.text) if answer.status_code == httpx.codes.OK else None

    def _behind(self, page: Page, told: Mapping[str, int]) -> bool:
        counted = page.since(self.before) if self.before is not None else page
        return any(counted.total("plumbline_requests_total", outcome=one) < n for one, n in told.items())

    def _keep_looking(self) -> None:
        while True:
            gevent.sleep(self.pace_s)
            self.looks.append(self.look())
            if len(self.looks) >= LOOKS_MAX:
                del self.looks[1::2]
                self.pace_s *= 2


def machine() -> str:
    """On which locust runs, and how busy it is already."""
    return f"Locust on {os.cpu_count()} cores, load average of the minute before the run {os.getloadavg()[0]:.1f}"


def home_of(url: str, place: Path) -> Path | None:
    """The home, if the service that runs over it is the one at this URL."""
    sign = _sign(place)
    if sign is None:
        return None
    asked, said = httpx.URL(url), httpx.URL(str(sign.get("url", "")))
    return place if asked.port == said.port and _here(asked.host) else None


def resident_bytes(home: Path) -> int | None:
    """Of the service's processes together; pages that they share are counted for each."""
    sign = _sign(home)
    if sign is None:
        return None
    try:
        first = psutil.Process(int(sign["pid"]))
        return sum(_rss(one) for one in (first, *first.children(recursive=True)))
    except psutil.Error:
        return None


def ledger(home: Path) -> Mapping[str, Any] | None:
    """What `plumbline log verify --json` says; None where it could not read the log."""
    argv = [sys.executable, "-m", "plumbline", "log", "verify", "--home", str(home), "--json"]
    done = subprocess.run(argv, capture_output=True, timeout=VERIFY_S, check=False)
    if done.returncode not in (0, FOUND_FAULT) or not done.stdout.strip():
        return None
    told: Mapping[str, Any] = json.loads(done.stdout)
    return told


def faults(told: Mapping[str, Any]) -> tuple[str, ...]:
    """Everything that `log verify` complains of."""
    return (*told["gaps"], *told["corrupt"], *told["differences"], *told["service"]["differences"])


def _rss(process: psutil.Process) -> int:
    try:
        rss: int = process.memory_info().rss
        return rss
    except psutil.Error:  # it ended between both looks
        return 0


def _sign(home: Path) -> Mapping[str, Any] | None:
    try:
        sign = json.loads((home / SIGN).read_bytes())
    except (OSError, ValueError):
        return None
    return sign if isinstance(sign, dict) else None


def _here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
