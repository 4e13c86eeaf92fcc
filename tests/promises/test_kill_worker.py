"""P1: every 2xx answer has exactly one record, also after `kill -9` of a worker under load; the worker comes back."""

import random
from collections import Counter
from pathlib import Path

import psutil
import pytest

from service.featurelog.ledger import audit
from tests.load import Load
from tests.processes import home, served, wait_until
from tests.workers import answered_ids, workers_of

KILLS = 20
WORKERS = 2
CLIENTS = 4
SEED = 20261120


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

    logged = Counter(answered_ids(place / "log"))
    assert load.broken > 0, "no kill hit a request: the test showed nothing"
    assert {request_id for request_id in load.answered if logged[request_id] != 1} == set()
    assert [request_id for request_id, n in logged.items() if n > 1] == []
    found = audit(place / "log")
    assert found.whole, found
    assert found.answered >= len(load.answered)
