import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from monitoring.wrong_tokens import TRIES
from service.featurelog.ledger import audit
from tests.processes import wait_until
from tests.unit.monitoring.made import START_MINUTE, installed, model, traffic, write_log
from tests.unit.monitoring.process import DEADLINE_S, ROOT, monitor
from tests.unit.monitoring.receiver import receiving
from tests.unit.service.featurelog import archiving

pytestmark = pytest.mark.integration


def test_an_incident_reaches_the_receiver_under_one_id_though_it_fails_and_the_monitor_is_killed(
    tmp_path: Path,
) -> None:
    made = installed(model(rows=5000), tmp_path)
    rng = np.random.default_rng(6)
    normal = traffic(rng, minutes=range(START_MINUTE, START_MINUTE + 40), rows_per_minute=20)
    wrong = traffic(rng, minutes=range(START_MINUTE + 40, START_MINUTE + 80), rows_per_minute=20, scale=1000.0)
    write_log(tmp_path, made, normal)
    with receiving([(500, {}), (503, {"retry-after": "0"})]) as receiver:
        with monitor(tmp_path, receiver) as first:
            wait_until(
                lambda: first.status()["log"]["counters"]["records"] == 801, DEADLINE_S, "the normal part is read"
            )
            assert first.get("/healthz").status_code == 200
            assert receiver.attempts == 0
            write_log(tmp_path, made, wrong, number=1, first_seq=len(normal))
            wait_until(lambda: receiver.attempts >= 1, DEADLINE_S, "the first attempt is made")
            first.end(signal.SIGKILL)
        with monitor(tmp_path, receiver) as second:
            wait_until(lambda: receiver.taken, DEADLINE_S, "the event is taken")
            wait_until(lambda: second.status()["outbox"]["pending"] == 0, DEADLINE_S, "the outbox is empty")
            (version,) = second.status()["versions"]
            assert version["alert"]["phase"] == "firing"
            assert second.status()["log"]["counters"]["records"] == 1602
            assert 'plumbline_monitor_requests_total{arm="stable"' in second.get("/metrics").text
            assert second.end(signal.SIGTERM) == 0
        with monitor(tmp_path, receiver) as third:
            wait_until(lambda: third.status()["log"]["caught_up"], DEADLINE_S, "the third has caught up")
            assert third.end(signal.SIGINT) == 0
    assert receiver.failures == []
    assert {headers["webhook-id"] for headers in receiver.seen} == {receiver.taken[0][0]}
    assert len(receiver.taken) == 1
    data = json.loads(receiver.taken[0][1])["data"]
    assert data["feature"] == "f0"
    assert data["histograms"]["window"] != data["histograms"]["baseline"]
    replay = [sys.executable, "-m", "monitoring.cli", *data["replay"].split()[2:], "--home", str(tmp_path), "--json"]
    again = subprocess.run(replay, cwd=ROOT, capture_output=True, check=True)
    (line,) = again.stdout.splitlines()
    assert receiver.taken[0][1] in line
    assert json.loads(line)["column"] == "both" and json.loads(line)["same_bytes"] is True


def test_a_second_monitor_of_the_same_home_does_not_start(tmp_path: Path) -> None:
    with receiving() as receiver, monitor(tmp_path, receiver):
        second = subprocess.run(
            [sys.executable, "-m", "monitoring.cli", "--home", str(tmp_path), "--monitor-port", "0"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
    assert second.returncode == 3
    assert "locked by a live monitor" in second.stderr


def test_who_guesses_is_who_the_socket_says_whatever_a_header_says(tmp_path: Path) -> None:
    with monitor(tmp_path, None, PLUMBLINE_ADMIN_TOKEN="right") as running:
        url = f"http://127.0.0.1:{running.port}/api/silences"
        given = [
            {"authorization": f"Bearer wrong-{number}", "x-forwarded-for": f"192.0.2.{number}"}
            for number in range(TRIES + 1)
        ]
        said = [httpx.post(url, json={}, headers=headers, trust_env=False).status_code for headers in given]
    assert said == [401] * TRIES + [429]


def test_a_webhook_without_a_secret_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "plumbline.toml").write_text('[monitor]\nwebhook_url = "https://hooks.example/"\nport = 0\n')
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PLUMBLINE_")}
    run = subprocess.run(
        [sys.executable, "-m", "monitoring.cli", "--home", str(tmp_path)],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert run.returncode == 2
    assert "expected PLUMBLINE_WEBHOOK_SECRET or webhook_secret_file" in run.stderr


def test_segments_that_were_read_become_the_archive_and_go(tmp_path: Path) -> None:
    rows = archiving.write_log(tmp_path / "log")
    with receiving() as receiver, monitor(tmp_path, receiver, PLUMBLINE_LOG_RAW_BYTES_MAX="1") as running:

        def done() -> dict | None:
            archive = running.status()["archive"]
            return archive if archive["let_go_segments"] and not archive["waiting_segments"] else None

        archive = wait_until(done, DEADLINE_S, "archived and let go")
        assert running.status()["log"]["lost_holes"] == {}
        assert running.end(signal.SIGTERM) == 0
    assert archive["rows"] == len(archiving.rows_in(tmp_path)) == rows
    assert archive["failures"] == {}
    assert audit(tmp_path / "log").whole
