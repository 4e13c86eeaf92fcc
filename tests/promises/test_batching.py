"""Joined in one run or alone, late or in time: what a client sees of the batcher, with a real service."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import msgspec
import pytest

from service.featurelog.ledger import audit
from tests.processes import home, served, wait_until
from tests.requests import MONDAY_S, payments_rows

CLIENTS, ASKED = 12, 96
CONFIG = """
[service]
max_queue_delay_us = 20000
max_batch_rows = 16
"""
PREDICT = "/v1/models/payments:predict"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = home(tmp_path)
    (place / "plumbline.toml").write_text(CONFIG)
    return place


@pytest.fixture
def service(place: Path) -> Iterator[str]:
    with served(place) as (_, url):
        yield url


def bodies() -> list[bytes]:
    """Requests of 1 to 40 rows: some are joined, some divided."""
    sizes = [1 + number % 5 if number % 12 else 40 for number in range(ASKED)]
    rows = iter(payments_rows(7, [MONDAY_S] * sum(sizes)))
    return [msgspec.json.encode({"instances": [next(rows) for _ in range(size)]}) for size in sizes]


def ask(client: httpx.Client, body: bytes, **headers: str) -> httpx.Response:
    return client.post(PREDICT, content=body, headers=headers)


def alike(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-5
    return one == other


def total(metrics: str, name: str, *labels: str) -> float:
    lines = [line for line in metrics.splitlines() if re.match(rf"{name}(\{{| )", line)]
    return sum(float(line.rpartition(" ")[2]) for line in lines if all(label in line for label in labels))


@pytest.mark.integration
def test_joined_with_others_or_divided_every_client_gets_what_it_gets_alone(service: str, place: Path) -> None:
    asked = bodies()
    with httpx.Client(base_url=service, trust_env=False, timeout=30) as client, ThreadPoolExecutor(CLIENTS) as clients:
        alone = [ask(client, body).json() for body in asked]
        together = list(clients.map(lambda body: ask(client, body), asked))
        assert {answer.status_code for answer in together} == {200}
        assert all(alike(answer.json(), one) for answer, one in zip(together, alone, strict=True))

        rows = sum(len(one["predictions"]) for one in alone)
        metrics = wait_until(lambda: _settled(client, 2 * rows), 10, "all rows are counted")
    of_payments = 'model="payments"'
    assert total(metrics, "plumbline_batch_rows_sum", of_payments) == 2 * rows
    runs = total(metrics, "plumbline_batch_rows_count", of_payments)
    assert runs == total(metrics, "plumbline_batch_releases_total", of_payments)
    # Alone each request is one run and each of 40 rows three; together they must have shared some.
    divided = 2 * sum(len(one["predictions"]) == 40 for one in alone)
    assert runs < 2 * (ASKED + divided)
    assert total(metrics, "plumbline_batch_releases_total", 'reason="timer"') > 0
    assert total(metrics, "plumbline_batch_releases_total", 'reason="full"') > 0
    assert audit(place / "log").whole


def _settled(client: httpx.Client, rows: int) -> str:
    metrics = client.get("/metrics").text
    return metrics if total(metrics, "plumbline_rows_total") == rows else ""


@pytest.mark.integration
def test_a_client_may_shorten_its_deadline_and_is_told_of_one_that_is_none(service: str) -> None:
    body = bodies()[1]
    with httpx.Client(base_url=service, trust_env=False, timeout=30) as client:
        assert ask(client, body).status_code == 200
        short = {"x-request-timeout-ms": "15"}  # less than what it would wait for others
        wait_until(lambda: ask(client, body, **short).status_code == 200, 10, "answered within 15 ms")
        wait_until(lambda: _released(client, "deadline"), 10, "a release by deadline is counted")
        for wrong in ("0", "-5", "1.5", "soon", "9999999999"):
            refused = ask(client, body, **{"x-request-timeout-ms": wrong})
            assert (refused.status_code, refused.json()["code"]) == (400, "malformed_body"), wrong
            assert "x-request-timeout-ms" in refused.json()["error"]
        assert ask(client, body, **{"x-request-timeout-ms": "999999999"}).status_code == 200


def _released(client: httpx.Client, reason: str) -> str:
    metrics = client.get("/metrics").text
    return metrics if total(metrics, "plumbline_batch_releases_total", f'reason="{reason}"') else ""
