"""P1: every 2xx answer has exactly one record, also after `kill -9` of a worker under load; the worker comes back."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from service.featurelog.ledger import audit
from service.featurelog.reader import LogReader
from service.featurelog.record import Outcome, Request
from tests.processes import Process, answers, environment, free_port, home, plumbline, wait_until
from tests.requests import payments_body

KILLS = 20
WORKERS = 2
CLIENTS = 4
SEED = 20261120


class Load:
    """Clients that send one request after the other and remember what was answered."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]
        self.answered: list[str] = []
        self.broken = 0

    def _run(self, number: int) -> None:
        sent = 0
        while not self._stop.is_set():
            with httpx.Client(trust_env=False, timeout=10) as client:
                try:
                    while not self._stop.is_set():
                        sent += 1
                        request_id = f"client{number}-{sent}"
                        answer = client.post(self._url, content=payments_body(), headers={"x-request-id": request_id})
                        if answer.status_code == 200:
                            self.answered.append(answer.headers["x-request-id"])
                except httpx.TransportError:  # the worker of this connection died: this request was not answered
                    self.broken += 1

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()


def workers_of(service: Process) -> list[int]:
    """The pids of the service's worker processes."""
    found = []
    for pid in service.descendants():
        try:
            if "_bentoml_impl.worker.service" in psutil.Process(pid).cmdline():
                found.append(pid)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.integration
def test_every_answered_request_is_in_the_log_exactly_once_though_workers_are_killed(tmp_path: Path) -> None:
    place, port, dice = home(tmp_path), free_port(), random.Random(SEED)
    url = f"http://127.0.0.1:{port}"
    serve = plumbline("serve", "--home", place, "--port", port, "--workers", WORKERS)
    with Process(serve, env=environment()) as service:
        service.wait_until(lambda: answers(f"{url}/readyz"), 60, "service ready")
        wait_until(lambda: len(workers_of(service)) == WORKERS, 30, "all workers there")
        load = Load(f"{url}/v1/models/payments:predict")
        with load.running():
            for kill in range(KILLS):
                more = len(load.answered) + dice.randint(20, 200)
                wait_until(lambda more=more: len(load.answered) >= more, 60, f"load before kill {kill}")
                victim = dice.choice(workers_of(service))
                psutil.Process(victim).kill()
                wait_until(
                    lambda victim=victim: len(workers_of(service)) == WORKERS and victim not in workers_of(service),
                    30,
                    f"a worker in the place of {victim}",
                )
        service.terminate()

    logged = Counter(_answered_ids(place / "log"))
    assert load.broken > 0, "no kill hit a request: the test showed nothing"
    assert {request_id for request_id in load.answered if logged[request_id] != 1} == set()
    assert [request_id for request_id, n in logged.items() if n > 1] == []
    found = audit(place / "log")
    assert found.whole, found
    assert found.answered >= len(load.answered)


def _answered_ids(root: Path) -> Iterator[str]:
    reader = LogReader(root)
    while True:
        chunk = reader.read(10_000)
        for run in chunk.runs:
            for _, record in run.records:
                if isinstance(record, Request) and record.outcome is Outcome.ANSWERED:
                    yield record.request_id
        if chunk.caught_up:
            return
