"""What people say reaches a monitor that runs: commands and API beside a real process."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.processes import wait_until
from tests.promises.webhooks.homes import QUICK, one_incident
from tests.promises.webhooks.receiver import receiving
from tests.unit.monitoring.process import DEADLINE_S, ROOT, Monitor, monitor

pytestmark = pytest.mark.integration
TOKEN = {"authorization": "Bearer admin-token"}


def command(home: Path, *arguments: str) -> str:
    argv = [sys.executable, "-m", "monitoring.cli", "--home", str(home), *arguments]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True, timeout=DEADLINE_S).stdout


def post(running: Monitor, path: str, body: dict[str, object], **headers: str) -> httpx.Response:
    url = f"http://127.0.0.1:{running.port}{path}"
    return httpx.post(url, json=body, headers=headers, trust_env=False, timeout=10.0)


def test_a_silence_holds_an_incident_and_its_end_by_command_lets_a_running_monitor_send_it(tmp_path: Path) -> None:
    one_incident(tmp_path)
    silence = command(
        tmp_path, "silence", "add", "--model", "pay*", "--for", "1h", "--why", "test", "--by", "ada"
    ).strip()
    with receiving() as receiver, monitor(tmp_path, receiver, **QUICK, PLUMBLINE_ADMIN_TOKEN="admin-token") as running:

        def receiver_status() -> dict[str, object]:
            return running.status()["outbox"]["receivers"][0]

        wait_until(lambda: receiver_status()["held"] == {"silence": 1}, DEADLINE_S, "the event is held")
        (shown,) = running.get("/api/incidents").json()["incidents"]
        assert shown["silenced_by"] == silence
        assert not receiver.attempts
        assert post(running, f"/api/incidents/{shown['event']}/ack", {"by": "ada"}).status_code == 401
        assert post(running, f"/api/incidents/{shown['event']}/ack", {"by": "ada"}, **TOKEN).status_code == 200
        command(tmp_path, "silence", "expire", silence, "--by", "bob")
        wait_until(lambda: len(receiver.taken) == 1, DEADLINE_S, "the event is taken")
        wait_until(lambda: receiver_status()["events"] == {"taken": 1}, DEADLINE_S, "and known to be")
        (line,) = command(tmp_path, "events", "--json").splitlines()
        told = json.loads(line)
        assert told["event"] == receiver.taken[0].id
        assert told["acked"]["by"] == "ada"
        assert told["receivers"]["webhook"]["state"] == "taken"
        assert 'plumbline_monitor_receiver_delivered_total{receiver="webhook"} 1.0' in running.get("/metrics").text
