"""A rollout that really happens: a service with two versions, a monitor that carries it out, callers, and minutes that pass.

The requests are real, so the routes decide who answers and the runtime how long it takes and whether it fails; only the clock
is the callers' (`event_time_header`): a minute is over when its requests are answered. The monitor looks as often as it can,
not each five seconds, since a minute here lasts a second or less.
"""

import math
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np

from service.routes_document import ModelRoutes, Routes
from service.routes_file import RoutesFile
from tests.faulty import faulty, install
from tests.processes import Process, answers, environment, free_port, plumbline, served

TOKEN = "the-token-of-a-test"
READY_S = 30.0
SETTINGS = """
[service]
event_time_header = "x-event-time"
routes_poll_s = 0.05
[monitor]
rollout_apply = true
rollout_interval_s = 0.05
archive_interval_s = 0
"""


@dataclass
class Callers:
    """Who asks, one after the other; `arms`: answers by arm, `failed` of them by arm."""

    stage: "Stage"
    model: str
    seed: int
    arms: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._client = httpx.Client(base_url=self.stage.url, trust_env=False, timeout=30)

    def ask_for_a_minute(self, requests: int) -> None:
        """All requests of the next minute of event time."""
        for number, values in enumerate(self._draws(requests)):
            at_us = self.stage.minute * 60_000_000 + number * 60_000_000 // requests
            body = msgspec.json.encode({"instances": [values]})
            answer = self._client.post(
                f"/v1/models/{self.model}:predict", content=body, headers={"x-event-time": str(at_us)}
            )
            arm = answer.headers["x-model-arm"]
            self.arms[arm] += 1
            self.failed[arm] += answer.status_code != 200
        self.stage.minute += 1

    def _draws(self, requests: int) -> list[list[float]]:
        luck, haste = self._rng.uniform(size=(2, requests))
        found: list[list[float]] = np.stack([luck, haste, self._rng.normal(size=requests)], axis=1).tolist()
        return found


@dataclass
class Stage:
    """A home, its service, the environment in which its monitor and commands run, and the minute that passes next."""

    home: Path
    url: str
    environment: dict[str, str]
    minute: int = field(default_factory=lambda: math.ceil(time.time() / 60) + 5)  # behind the `since` of a rollout

    @contextmanager
    def monitored(self) -> Iterator[tuple[Process, str]]:
        """A monitor of this home, and its URL."""
        port = free_port()
        argv = plumbline("monitor", "--home", self.home, "--monitor-port", port)
        with Process(argv, env=self.environment) as process:
            url = f"http://127.0.0.1:{port}"
            process.wait_until(lambda: answers(f"{url}/healthz"), READY_S, "monitor ready")
            yield process, url

    def command(self, *words: str) -> str:
        """Output of `plumbline rollout …`, which must succeed."""
        argv = plumbline("rollout", *words, "--home", self.home)
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def asked(self, path: str) -> Any:
        """What the admin API says."""
        headers = {"authorization": f"Bearer {TOKEN}"}
        return httpx.get(f"{self.url}{path}", headers=headers, trust_env=False, timeout=10).raise_for_status().json()

    def routes(self, model: str) -> ModelRoutes:
        return msgspec.convert(self.asked("/admin/routes")["models"][model], ModelRoutes)

    def callers(self, model: str, seed: int = 0) -> Callers:
        return Callers(self, model, seed)


@contextmanager
def staged(home: Path, plan: str, **canaries: bytes) -> Iterator[Stage]:
    """A service of models by name: version 1 as it should be, version 2 as given; `plan` is the document of each rollout."""
    (home / "plumbline.toml").write_text(SETTINGS)
    (home / "rollouts").mkdir()
    for model, canary in canaries.items():
        install(home, model, "1", faulty(failing=0.01))
        install(home, model, "2", canary)
        (home / "rollouts" / f"{model}.toml").write_text(plan)
    routes = {model: ModelRoutes(stable="1") for model in canaries}
    RoutesFile(home / "routes.toml").swap(0, Routes(1, routes))
    with served(home, PLUMBLINE_ADMIN_TOKEN=TOKEN) as (_, url):
        yield Stage(home, url, environment(PLUMBLINE_ADMIN_TOKEN=TOKEN, PLUMBLINE_MONITOR_SERVICE_URL=url))
