"""A real Alertmanager hears of an incident and of its end, and tells it on."""

import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import answers, free_port, wait_until
from tests.promises.webhooks.homes import QUICK, spans
from tests.unit.monitoring.made import Model, installed, model, write_log
from tests.unit.monitoring.process import monitor

pytestmark = pytest.mark.integration
DEADLINE_S = 120.0
CONFIGURATION = """
route:
  receiver: hook
  group_by: [model]
  group_wait: 0s
  group_interval: 1s
receivers:
  - name: hook
    webhook_configs:
      - url: {url}
        send_resolved: true
"""


@contextmanager
def pager() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Who is woken by Alertmanager: a url, and what was said."""
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def alertmanager(folder: Path, url: str) -> Iterator[str]:
    """Its url, for as long as the block."""
    program = shutil.which("prometheus-alertmanager")
    assert program, "prometheus-alertmanager: expected the Debian package (.ci/packages installs it)"
    (folder / "alertmanager.yml").write_text(CONFIGURATION.format(url=url))
    place = f"127.0.0.1:{free_port()}"
    with (folder / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address={place}",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: answers(f"http://{place}/-/ready"), DEADLINE_S, "Alertmanager is ready")
        yield f"http://{place}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE_S)


def incident_and_then_its_end(home: Path) -> Model:
    made = installed(model(floats=1, rows=2000), home)
    write_log(home, made, spans([(5, 1.0), (10, 1000.0)]))
    return made


def test_alertmanager_hears_of_an_incident_and_of_its_end(tmp_path: Path) -> None:
    made = incident_and_then_its_end(tmp_path)
    with pager() as (url, told), alertmanager(tmp_path, url) as place:
        (tmp_path / "plumbline.toml").write_text(
            f'[[monitor.receivers]]\nname = "pager"\nkind = "alertmanager"\nurl = "{place}"\nlabels = {{ team = "ml" }}\n'
        )
        with monitor(tmp_path, None, **QUICK, PLUMBLINE_MONITOR_COOLDOWN_S="120") as running:
            (alert,) = wait_until(lambda: _alerts(place), DEADLINE_S, "the alert is there")
            (version,) = running.status()["versions"]
            incident = alert["labels"].pop("incident")
            assert alert["labels"] == {
                "alertname": "PlumblineRetrainRequested",
                "model": "payments",
                "version": "1",
                "severity": "warning",
                "team": "ml",
            }
            assert alert["status"]["state"] == "active"
            assert "f0" in alert["annotations"]["summary"]
            assert version["alert"]["phase"] == "firing"
            wait_until(lambda: _statuses(told) == ["firing"], DEADLINE_S, "Alertmanager told it on")
            good = spans([(5, 1.0), (10, 1000.0), (30, 1.0)])[15:]
            write_log(tmp_path, made, good, number=1, first_seq=16)
            wait_until(lambda: not _alerts(place), DEADLINE_S, "the alert is over")
            wait_until(lambda: _statuses(told)[-1] == "resolved", DEADLINE_S, "Alertmanager told that on")
            shown = running.get("/api/incidents").json()["incidents"]
    assert [(one["event"], one["phase"]) for one in shown] == [(incident, "over")]
    assert shown[0]["receivers"]["pager"]["state"] == shown[0]["ending"]["pager"]["state"] == "taken"
    over = told[-1]["alerts"][0]
    assert over["endsAt"] > over["startsAt"]
    assert over["labels"]["incident"] == incident


def _alerts(place: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{place}/api/v2/alerts", trust_env=False, timeout=5.0).json()
    return found


def _statuses(told: list[dict[str, Any]]) -> list[str]:
    """What was said, without repetitions."""
    words = [str(one["status"]) for one in told]
    return [word for place, word in enumerate(words) if place == 0 or words[place - 1] != word]
