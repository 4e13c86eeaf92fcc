"""The whole story with real processes: no event without an incident, one event with one, and a ledger that adds up (P3, P6)."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from models.demo.incidents import Incident
from service.featurelog.ledger import audit
from tests.processes import Process, answers, environment, free_port, home, plumbline, wait_until
from tests.receiver import SECRET, Receiver
from tests.requests import MONDAY_S, payments_rows

NORMAL_MINUTES, INCIDENT_MINUTES = 180, 20
ROWS_A_MINUTE = 30
LATENESS_S = 10
REFUSED_EVERY_MINUTES = 10  # one row in 300 lacks features: below the share of 1 % that counts as skew
CONFIG = """
[service]
event_time_header = "x-event-time"

[monitor]
webhook_retry_first_s = 0.5
poll_interval_s = 0.1
"""


class Client:
    """Sends payments minute by minute in event time, and keeps its own account of the answers."""

    def __init__(self, service: str) -> None:
        self._http = httpx.Client(base_url=service, trust_env=False, timeout=30)
        self._minute = 0
        self.statuses: Counter[int] = Counter()

    @property
    def last_s(self) -> float:
        """Event time of the newest request."""
        return MONDAY_S + 60 * (self._minute - 1) + 2 * (ROWS_A_MINUTE - 1)

    def minutes(self, n: int, incident: Incident | None = None) -> None:
        """The next n minutes of traffic; each third request is V2, a few are refused."""
        for _ in range(n):
            at_s = MONDAY_S + 60 * self._minute
            times = [at_s + 2 * i for i in range(ROWS_A_MINUTE)]
            for number, (time_s, row) in enumerate(
                zip(times, payments_rows(self._minute, times, incident), strict=True)
            ):
                self._send(int(time_s * 1e6), row, v2=number % 3 == 0)
            if self._minute % REFUSED_EVERY_MINUTES == 0:
                self._post("/v1/models/payments:predict", {"instances": [{"bogus": 1}]}, int(times[-1] * 1e6))
            self._minute += 1

    def _send(self, at_us: int, row: dict[str, Any], *, v2: bool) -> None:
        if not v2:
            self._post("/v1/models/payments:predict", {"instances": [row]}, at_us)
            return
        inputs = [
            {"name": name, "shape": [1], "datatype": _datatype(name, value), "data": [value]}
            for name, value in row.items()
        ]
        self._post("/v2/models/payments/infer", {"inputs": inputs}, at_us)

    def _post(self, path: str, body: object, at_us: int) -> None:
        answer = self._http.post(path, content=msgspec.json.encode(body), headers={"x-event-time": str(at_us)})
        self.statuses[answer.status_code] += 1


def _datatype(name: str, value: object) -> str:
    if isinstance(value, str):
        return "BYTES"
    return "INT64" if name in ("customer_age", "account_age_days", "payments_last_24h") else "FP64"


@pytest.mark.integration
def test_one_incident_makes_one_event_though_the_receiver_fails_and_the_monitor_is_killed(tmp_path: Path) -> None:
    place, port, monitor_port = home(tmp_path), free_port(), free_port()
    (place / "plumbline.toml").write_text(CONFIG)
    service, monitor = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{monitor_port}"
    command = plumbline("up", "--home", place, "--port", port, "--monitor-port", monitor_port, "--workers", 2)
    with Receiver(failing=True) as receiver:
        env = environment(PLUMBLINE_WEBHOOK_SECRET=SECRET, PLUMBLINE_MONITOR_WEBHOOK_URL=receiver.url)
        with Process(command, env=env) as up:
            up.wait_until(lambda: "plumbline is up" in up.output(), 60, "up")
            client = Client(service)

            client.minutes(NORMAL_MINUTES)
            wait_until(lambda: _has_read(monitor, client.last_s), 60, "monitor has read the normal traffic")
            assert receiver.deliveries == []
            assert _phases(monitor) <= {"quiet"}

            client.minutes(INCIDENT_MINUTES, Incident.UNIT_X1000)
            wait_until(lambda: len(receiver.deliveries) >= 1, 60, "first attempt")
            psutil.Process(_monitor_pid(up)).kill()
            receiver.recover()  # not before: a kill between a 200 and its note makes a second post, of the same id
            wait_until(lambda: any(d.status == 200 for d in receiver.deliveries), 60, "delivery after the kill")
            wait_until(lambda: answers(f"{monitor}/healthz"), 60, "monitor is back")
            client.minutes(5, Incident.UNIT_X1000)
            wait_until(lambda: _has_read(monitor, client.last_s), 60, "monitor has read everything")

            metrics = httpx.get(f"{service}/metrics", trust_env=False).text
            up.terminate()

    assert receiver.refused == []
    assert len({delivery.id for delivery in receiver.deliveries}) == 1
    assert [delivery.status for delivery in receiver.deliveries].count(200) == 1
    _evidence_names_the_amount(receiver.deliveries[-1].event)
    _ledger_adds_up(metrics, client.statuses, place)


def _evidence_names_the_amount(event: Any) -> None:
    data = event["data"]
    assert event["type"] == "plumbline.retrain.requested.v1"
    assert event["subject"] == "payments:1"
    assert data["feature"] == "amount"
    histograms = data["histograms"]
    assert len(histograms["labels"]) == len(histograms["baseline"]) == len(histograms["window"]) > 2
    assert set(data["log_range"]) <= {"w0", "w1"}
    assert data["log_range"]
    assert "plumbline monitor replay" in data["replay"]


def _ledger_adds_up(metrics: str, statuses: Counter[int], place: Path) -> None:
    """P3 three times: what the client saw, what the metrics say, what the log holds."""
    sent = statuses.total()
    assert set(statuses) == {200, 400}
    assert _sum(metrics, "plumbline_requests_received_total") == sent
    assert _sum(metrics, "plumbline_requests_total", 'outcome="answered"') == statuses[200]
    assert _sum(metrics, "plumbline_requests_total", 'outcome="rejected"') == statuses[400]
    assert _sum(metrics, "plumbline_requests_total") == sent
    assert _sum(metrics, "plumbline_log_records_total") + _sum(metrics, "plumbline_log_dropped_total") == sent
    found = audit(place / "log")
    assert found.whole, found
    assert (found.received, found.answered, found.logged) == (sent, statuses[200], statuses[200])


def _sum(metrics: str, name: str, label: str = "") -> float:
    values = re.findall(rf"^{name}(?:{{([^}}]*)}})? (\S+)$", metrics, re.MULTILINE)
    return sum(float(value) for labels, value in values if label in labels)


def _status(monitor: str) -> dict[str, Any]:
    try:
        status: dict[str, Any] = httpx.get(f"{monitor}/api/status", trust_env=False).json()
    except httpx.HTTPError:
        return {}
    return status


def _has_read(monitor: str, until_s: float) -> bool:
    """The monitor's event time has come to within its lateness of `until_s`, and nothing is left to read."""
    log = _status(monitor).get("log")
    return log is not None and log["caught_up"] and log["watermark_s"] >= until_s - LATENESS_S


def _phases(monitor: str) -> set[str]:
    return {version["alert"]["phase"] for version in _status(monitor)["versions"]}


def _monitor_pid(up: Process) -> int:
    for pid in up.descendants():
        command = psutil.Process(pid).cmdline()
        if "plumbline" in command and "monitor" in command:
            return pid
    raise AssertionError("no monitor process")
