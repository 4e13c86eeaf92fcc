"""Overload as clients see it, with a real service: who goes is not run, who finds no room is told so, health goes on.

How much is still answered, and how fast, is measured by `python -m tests.promises.overload`.
"""

import socket
from collections import Counter
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest

from loadtests.drive import Target, drive
from service.featurelog.ledger import audit
from service.featurelog.record import Request
from tests.onnx_models import install, turning, turning_contract
from tests.processes import answers, home, served, wait_until
from tests.promises.test_batching import total
from tests.requests import payments_body
from tests.unit.service.featurelog.writing import read
from tests.unit.service.serving import route

GOING, CROWD = 50, 3_000
TURNS = 200_000  # of a matrix product: seconds, on any machine
ROWS_RUN = "plumbline_batch_rows_sum"
LONG, SHORT = (msgspec.json.encode({"instances": [[turns]]}) for turns in (TURNS, 1))


def requests(place: Path, model: str) -> list[Request]:
    return [record for record in read(place / "log")[0] if isinstance(record, Request) and record.model == model]


def send(url: str, path: str, body: bytes) -> socket.socket:
    """A client that has asked and not been answered yet."""
    address = httpx.URL(url)
    client = socket.create_connection((address.host, address.port), timeout=60)
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nx-request-timeout-ms: 60000\r\ncontent-length: {len(body)}\r\n\r\n"
    client.sendall(head.encode() + body)
    return client


@pytest.mark.integration
def test_clients_that_go_while_their_requests_wait_are_not_run(tmp_path: Path) -> None:
    place = home(tmp_path)
    with served(place, PLUMBLINE_TIMEOUT_MS="60000") as (_, url):
        install(place, "slow", "1", turning(), turning_contract())
        route(place, "slow", stable="1")
        wait_until(lambda: answers(f"{url}/v2/models/slow"), 30, "the slow model is served")
        path = "/v1/models/slow:predict"
        first = send(url, path, LONG)
        wait_until(lambda: _rows_run(url) == 1, 30, "the first is being run, alone")
        going = [send(url, path, SHORT) for _ in range(GOING)]
        for client in going:
            client.close()
        assert first.recv(12) == b"HTTP/1.1 200"
        first.close()
        wait_until(lambda: len(requests(place, "slow")) == 1 + GOING, 30, "all are on record")
        metrics = wait_until(lambda: _counted(url, 1 + GOING), 10, "all are counted")
    codes = Counter(record.code for record in requests(place, "slow"))
    assert codes == {"": 1, "client_gone": GOING}
    assert total(metrics, ROWS_RUN, 'model="slow"') == 1
    assert audit(place / "log").whole


def _rows_run(url: str) -> float:
    return total(httpx.get(f"{url}/metrics", trust_env=False).text, ROWS_RUN, 'model="slow"')


def _counted(url: str, n: int) -> str:
    metrics = httpx.get(f"{url}/metrics", trust_env=False).text
    return metrics if total(metrics, "plumbline_requests_total", 'model="slow"') == n else ""


@pytest.mark.integration
def test_a_crowd_that_finds_no_room_is_refused_with_a_record_each_and_health_goes_on(tmp_path: Path) -> None:
    place = home(tmp_path)
    with served(place, PLUMBLINE_MAX_WAITING_REQUESTS="10") as (_, url):
        target = Target.of(f"{url}/v1/models/payments:predict", [payments_body()])
        samples = drive(target, np.zeros(CROWD), connections=400, connections_max=400, grace_s=60)
        statuses = Counter(samples.status.tolist())
        assert set(statuses) == {200, 503}, statuses
        assert answers(f"{url}/livez") and answers(f"{url}/readyz")
        refused = requests(place, "payments")
        assert Counter(record.status for record in refused) == statuses
        assert {record.code for record in refused} == {"", "overloaded"}
        again = httpx.post(f"{url}/v1/models/payments:predict", content=payments_body(), trust_env=False)
        assert again.status_code == 200
    assert audit(place / "log").whole
