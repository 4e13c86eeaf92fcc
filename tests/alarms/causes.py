"""What goes wrong in each home of the stage, so that its alerts fire: real faults of real processes, one after the other.

A cause is repeated until it was told: how quick the machine is changes how long that takes, not whether it happens.
"""

import os
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from service.routes_document import ModelRoutes, Routes, ShadowEntry
from service.routes_file import RoutesFile
from tests.alarms.told import TOLD_WITHIN_S, Told
from tests.alarms.written import BEGIN, WAITED_S
from tests.faulty import install
from tests.processes import Process, wait_until
from tests.promises.test_ejection import HARMLESS, ask, crash
from tests.promises.webhooks.homes import hundred
from tests.rolling_out import Stage
from tests.small_disk import fill
from tests.unit.monitoring.made import MINUTE_US, Model, heartbeat, installed, model, request, rows, traffic, write_log
from tests.unit.monitoring.process import Monitor

A_MINUTE = 120  # requests
LUCKY_AND_SLOW = {"instances": [[0.1, 0.99, 0.0]]}
EVENTS = 3  # of an outbox that has room for one

# Alert → the home in which it is caused.
CAUSED = {
    "PlumblineErrorBudgetBurnFast": "default",
    "PlumblineErrorBudgetBurnSlow": "default",
    "PlumblineLatencyBudgetBurnFast": "default",
    "PlumblineLatencyBudgetBurnSlow": "default",
    "PlumblineRolloutRolledBack": "default",
    "PlumblineRoutesNotApplied": "default",
    "PlumblineVersionRefused": "default",
    "PlumblineVersionEjected": "full",
    "PlumblineDiskFull": "full",
    "PlumblineLogRecordsDropped": "full",
    "PlumblineServiceDown": "full",
    "PlumblineDrift": "written",
    "PlumblineSkew": "written",
    "PlumblineLabelAlarm": "written",
    "PlumblineVolumeChanged": "written",
    "PlumblineLogRecordsLost": "written",
    "PlumblineRolloutStuck": "written",
    "PlumblineArchiveDamaged": "written",
    "PlumblineArchiveStuck": "told",
    "PlumblineEventsRefused": "told",
    "PlumblineEventsStuck": "told",
    "PlumblineMonitorBehind": "told",
    "PlumblineReceiverDisabled": "told",
    "PlumblineWebhookFailing": "told",
    "PlumblineMonitorUnwatched": "stalled",
    "PlumblineMonitorStalled": "stalled",
    "PlumblineMonitorDown": "stalled",
}


@dataclass(frozen=True)
class Served:
    """The home `full`: a service on a small disk."""

    disk: Path
    process: Process
    url: str
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"x-api-key": self.key}


def until_told(told: Told, alert: str, again: Callable[[], object] = lambda: None) -> None:
    """Does it again and again until somebody is told."""

    def done() -> bool:
        again()
        return bool(told.of(alert, CAUSED[alert]))

    wait_until(done, TOLD_WITHIN_S, f"{alert} is told")


def default(stage: Stage, told: Told) -> None:
    """A version of garbage is pinned, a canary fails, a version is slow, and the routes are written over with nonsense."""
    install(stage.home, "broken", "1", b"not a model")
    _shadow(stage, "slow")
    stage.callers("slow").ask_for_a_minute(A_MINUTE // 2)
    stage.command("start", "bad", "2", "--steps", "30,100")
    callers = stage.callers("bad", seed=1)
    until_told(told, "PlumblineRolloutRolledBack", lambda: callers.ask_for_a_minute(A_MINUTE))
    until_told(told, "PlumblineLatencyBudgetBurnFast", lambda: _wait_for_an_answer(stage))
    until_told(told, "PlumblineErrorBudgetBurnFast")
    until_told(told, "PlumblineVersionRefused")
    routes = stage.home / "routes.toml"
    good, numbers = routes.read_text(), iter(range(1_000_000))
    until_told(told, "PlumblineRoutesNotApplied", lambda: routes.write_text(f"nonsense {next(numbers)}"))
    routes.write_text(good)


def _shadow(stage: Stage, model: str) -> None:
    """Version 2 sees what version 1 answers."""
    file = RoutesFile(stage.home / "routes.toml")
    present = file.read()
    routes = {**present.models, model: ModelRoutes(stable="1", shadows=(ShadowEntry("2"),))}
    file.swap(present.generation, Routes(present.generation + 1, routes))


def _wait_for_an_answer(stage: Stage) -> None:
    """Of the slow version, which is asked for by name."""
    headers = {"x-event-time": str(stage.minute * MINUTE_US)}
    url = f"{stage.url}/v1/models/slow/versions/2:predict"
    httpx.post(url, json=LUCKY_AND_SLOW, headers=headers, trust_env=False, timeout=30).raise_for_status()


def full(served: Served, told: Told) -> None:
    """Callers that are not let in, a version that ends its workers, a disk without room; in the end the service goes."""
    assert httpx.get(f"{served.url}/metrics", headers={"x-api-key": "plk_nobody"}, trust_env=False).status_code == 401
    _say_nothing_that_is_http(served.url)
    for _ in range(3):
        crash(served.process, served.url, "/v1/models/ratio/versions/2:predict", served.key)
    until_told(told, "PlumblineVersionEjected")
    until_told(told, "PlumblineDiskFull", lambda: _predict_on_a_full_disk(served))
    (served.disk / "filler").unlink()
    until_told(told, "PlumblineLogRecordsDropped", lambda: _drop_some(served, told))
    served.process.terminate()


def _predict_on_a_full_disk(served: Served) -> None:
    """Whatever was let go is taken at once."""
    fill(served.disk)
    _predict(served)


def _drop_some(served: Served, told: Told) -> None:
    """The disk is full until records were dropped, and then has room: while it is full, only that is told."""
    before, filler = _dropped(served), fill(served.disk)

    def more() -> bool:
        _predict(served)
        return _dropped(served) > before

    wait_until(more, TOLD_WITHIN_S, "records are dropped")
    filler.unlink()
    end = time.monotonic() + 5  # as long as it fires
    wait_until(
        lambda: told.of("PlumblineLogRecordsDropped", "full") or time.monotonic() > end, TOLD_WITHIN_S, "told, or over"
    )


def _say_nothing_that_is_http(url: str) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(b"?\r\n\r\n")
        while line.recv(4096):
            continue


def _dropped(served: Served) -> float:
    return sum(
        float(line.rpartition(" ")[2])
        for line in httpx.get(f"{served.url}/metrics", headers=served.headers, trust_env=False).text.splitlines()
        if line.startswith("plumbline_log_dropped_total{")
    )


def _predict(served: Served) -> int:
    return ask(served.url, HARMLESS, key=served.key)


def written(home: Path, made: Model, watching: Monitor) -> None:
    """The log says what is wrong by itself; a file of its archive is spoilt and then merged with what came late that day."""
    wait_until(lambda: watching.status()["archive"]["passes"], TOLD_WITHIN_S, "the log is archived")
    first_day = min((home / "archive" / "requests" / "model=payments").glob("*/date=*/*.parquet"))
    first_day.write_bytes(bytes(first_day.stat().st_size))
    rng, at_us = np.random.default_rng(5), (BEGIN + 1) * MINUTE_US
    late = [request(at_us, rows(3, rng, floats=1)), heartbeat(at_us + 1)]
    write_log(home, made, late, number=3, first_seq=10_000)


def told(home: Path) -> None:
    """Incidents of three models at once, of which no receiver takes one; segments that have waited for hours."""
    aside = home / "aside"
    hundred(aside, EVENTS)
    for segment in (aside / "log").glob("*/*"):
        os.utime(segment, (time.time() - WAITED_S,) * 2)
    shutil.copytree(aside / "registry", home / "registry", dirs_exist_ok=True)
    (aside / "log").rename(
        home / "log"
    )  # whole: what comes minute by minute is read as it comes, and the others are late


def stalled(home: Path, watching: Monitor, said: Told) -> None:
    """There is room for one version, then none on the monitor's disk, then no monitor."""
    made = [installed(model(floats=1, rows=1000, name=name), home) for name in ("one", "other")]
    log = Log(home)

    def both() -> None:
        read = _records(watching)
        for one in made:
            log.write(one)
        wait_until(lambda: _records(watching) > read, TOLD_WITHIN_S, "it is read")

    until_told(said, "PlumblineMonitorUnwatched", both)
    fill(home / "monitor")
    log.write(made[0])
    until_told(said, "PlumblineMonitorStalled")
    watching.process.kill()


def _records(watching: Monitor) -> int:
    return int(watching.status()["log"]["counters"]["records"])


@dataclass
class Log:
    """One writer's log, a segment a minute; each may be of another model."""

    home: Path
    segments: int = 0
    records: int = 0

    def write(self, made: Model) -> None:
        """Two requests in the next minute."""
        rng, minute = (
            np.random.default_rng(self.segments),
            BEGIN + 2 * self.segments,
        )  # a minute is over with its heartbeat
        more = traffic(rng, minutes=[minute], rows_per_minute=2, floats=1)
        write_log(self.home, made, more, number=self.segments, first_seq=self.records)
        self.segments, self.records = self.segments + 1, self.records + len(more)
