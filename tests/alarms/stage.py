"""One stage for all alerts: five homes, each with trouble of its own, and one Prometheus and Alertmanager that watch them all.

| home | what runs | what goes wrong |
|---|---|---|
| default | service, monitor | a version of garbage, a canary that fails, a slow version, routes of nonsense |
| full | service on a small disk | a version that ends its workers, no space, and the service goes |
| written | monitor over a written log | drift, nulls, labels, rows, a segment gone, a wrong admin token, a spoilt archive |
| told | monitor of another disk than the service | receivers that say 503 and 410, a full outbox, an endless archive |
| stalled | monitor on a small disk | no room for a version, then none for a checkpoint, then no monitor |
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests import keys
from tests.alarms import causes
from tests.alarms.causes import Served
from tests.alarms.quick import quick
from tests.alarms.told import TOLD_WITHIN_S, Told
from tests.alarms.written import labelled, watched
from tests.faulty import faulty
from tests.integration.test_alertmanager import pager
from tests.observing import Target, alertmanager, prometheus, query
from tests.processes import served, wait_until
from tests.promises.test_ejection import furnish
from tests.promises.webhooks.homes import QUICK
from tests.rolling_out import Stage, staged
from tests.small_disk import small_disk
from tests.unit.monitoring.made import Model
from tests.unit.monitoring.process import Monitor, monitor
from tests.unit.monitoring.receiver import receiving

HOMES = ("default", "full", "written", "told", "stalled")
DISK_BYTES, MONITOR_DISK_BYTES = 64 << 20, 1 << 20
SERVICE, MONITOR = "plumbline-service", "plumbline-monitor"
SLOW = 80.0  # times: about a quarter of a second, and the bound is a tenth
ROLLOUT = """
version = "2"
bake_s = 300
requests_min = 100
[guards.errors]
tolerance = 0.05
"""
WATCHED = {
    **QUICK,
    "PLUMBLINE_MONITOR_DRIFT_WINDOWS": "60,86400",  # a model is remembered for as long as the longest of them
    "PLUMBLINE_MONITOR_ARCHIVE_INTERVAL_S": "1",
    "PLUMBLINE_MONITOR_EXPLAIN_EVENTS": "false",
    "PLUMBLINE_MONITOR_RETRAIN_MAX_PER_DAY": "0",  # what is held is shown too
    "PLUMBLINE_MONITOR_ROLLOUT_APPLY": "true",
    "PLUMBLINE_MONITOR_ROLLOUT_INTERVAL_S": "0.2",
    "PLUMBLINE_ADMIN_TOKEN": "not-the-token",
}
UNHEARD = {
    **QUICK,
    "PLUMBLINE_MONITOR_EXPLAIN_EVENTS": "false",
    "PLUMBLINE_MONITOR_OUTBOX_PENDING_MAX": "1",
    "PLUMBLINE_MONITOR_ARCHIVE_INTERVAL_S": "2",
    "PLUMBLINE_MONITOR_ARCHIVE_TIMEOUT_S": "0.05",  # a start of Python takes longer
}
CRAMPED = {**QUICK, "PLUMBLINE_MONITOR_KEYS_MAX": "1", "PLUMBLINE_MONITOR_RESERVE_BYTES": "0"}
OWN = {
    "PLUMBLINE_MONITOR_DRIFT_WINDOWS": "60",
    "PLUMBLINE_MONITOR_N_MIN_ROWS": "20",
    "PLUMBLINE_MONITOR_SEGMENTS": '{"bad": ["value > 0"]}',
}
LOCKED = {"PLUMBLINE_API_KEYS": "required"}
RECEIVER = """
[[monitor.receivers]]
name = "{name}"
kind = "webhook"
url = "{url}"
secret_env = "PLUMBLINE_WEBHOOK_SECRET"
"""


class Alarmed(NamedTuple):
    """Prometheus, who was told, and when it began."""

    prometheus: str
    told: Told
    began_s: float


@contextmanager
def alarmed(folder: Path) -> Iterator[Alarmed]:
    """The stage, once every cause has been set. Raises CannotMount."""
    homes = {name: folder / name for name in HOMES}
    for home in homes.values():
        home.mkdir()
    with ExitStack() as stack:
        enter = stack.enter_context
        enter(small_disk(homes["full"], DISK_BYTES))
        enter(small_disk(homes["stalled"] / "monitor", MONITOR_DISK_BYTES))
        bad, slow = faulty(failing=0.6), faulty(tail=SLOW)
        stage = enter(staged(homes["default"], ROLLOUT, bad=bad, slow=slow))
        stage.environment.update(OWN)
        _, own = enter(stage.monitored())
        furnish(homes["full"])
        key = keys.made(homes["full"], "predict", "read")
        full = Served(homes["full"], *enter(served(homes["full"], **LOCKED)), key)
        made = _written(homes["written"])
        watching = {
            "written": enter(_watching(homes["written"], stage)),
            "told": enter(_unheard(homes["told"])),
            "stalled": enter(monitor(homes["stalled"], None, **CRAMPED)),
        }
        url, messages = enter(pager())
        targets = [
            Target(SERVICE, "default", stage.url),
            Target(MONITOR, "default", own),
            Target(SERVICE, "full", full.url, full.key),
            Target(SERVICE, "told", stage.url),  # whose log that monitor does not see
            *(Target(MONITOR, name, f"http://127.0.0.1:{one.port}") for name, one in watching.items()),
        ]
        began_s, told = time.time(), Told(messages)
        at = enter(prometheus(folder / "prometheus", enter(alertmanager(folder, url)), targets, quick))
        wait_until(lambda: len(query(at, "up == 1")) == len(targets), TOLD_WITHIN_S, "Prometheus sees them all")
        _at_once(
            lambda: causes.default(stage, told),
            lambda: causes.full(full, told),
            lambda: causes.written(homes["written"], made, watching["written"]),
            lambda: causes.told(homes["told"]),
            lambda: causes.stalled(homes["stalled"], watching["stalled"], told),
        )
        yield Alarmed(at, told, began_s)


def _written(home: Path) -> Model:
    made = watched(home)
    labelled(home)
    (home / "rollouts").mkdir()
    (home / "rollouts" / "payments.toml").write_text(ROLLOUT)
    return made


@contextmanager
def _watching(home: Path, stage: Stage) -> Iterator[Monitor]:
    """Asks another home's service, with a token that it does not know."""
    with (
        receiving() as receiver,
        monitor(home, receiver, **WATCHED, PLUMBLINE_MONITOR_SERVICE_URL=stage.url) as running,
    ):
        yield running


@contextmanager
def _unheard(home: Path) -> Iterator[Monitor]:
    """One receiver takes what it gets, one asks to be left alone, one to be asked again in ten minutes."""
    with receiving() as good, receiving([(410, {})]) as gone, receiving([(503, {"retry-after": "600"})]) as busy:
        named = {"good": good, "gone": gone, "busy": busy}
        text = "".join(RECEIVER.format(name=name, url=one.url) for name, one in named.items())
        (home / "plumbline.toml").write_text(text)
        with monitor(home, None, **UNHEARD) as running:
            yield running


def _at_once(*every: Callable[[], None]) -> None:
    with ThreadPoolExecutor(len(every)) as pool:
        for one in [pool.submit(cause) for cause in every]:
            one.result()
