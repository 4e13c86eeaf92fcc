"""P1: every 2xx answer has exactly one record, also after `kill -9` of a worker under load; the worker comes back."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from service.featurelog.ledger import audit
from service.featurelog.reader import LogReader
from service.featurelog.record import Outcome, Request
from tests.load import Load
from tests.processes import Process, home, served, wait_until

KILLS = 20
WORKERS = 2
CLIENTS = 4
SEED = 20261120


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
    place, dice = home(tmp_path), random.Random(SEED)
    with served(place, workers=WORKERS) as (service, url):
        wait_until(lambda: len(workers_of(service)) == WORKERS, 30, "all workers there")
        load = Load(f"{url}/v1/models/payments:predict", CLIENTS)
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
