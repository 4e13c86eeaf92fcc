"""P5: versions that come and go under load cost no request, and each record names the version that answered."""

from collections import Counter
from pathlib import Path

import psutil
import pytest

from service.featurelog.reader import LogReader
from service.featurelog.record import Outcome, Request
from tests.load import Load
from tests.processes import home, served, wait_until
from tests.promises.swaps import KEPT_PINS, MIB, PATH, TOKEN, admin, swap
from tests.workers import workers_of

SWAPS = 5
GROWN_MIB_MAX = (
    24.0  # of both workers: a version of the demo takes less than one, and what it rehearses is imported once
)


@pytest.mark.integration
def test_five_new_versions_under_load_lose_no_request_and_every_record_names_who_answered(tmp_path: Path) -> None:
    place = home(tmp_path)
    with served(place, workers=2, PLUMBLINE_ADMIN_TOKEN=TOKEN) as (service, url):
        wait_until(lambda: len(workers_of(service)) == 2, 60, "both workers")
        load = Load(f"{url}{PATH}", clients=3)
        with admin(url) as client, load.running():
            swap(place, client, 0)  # what the first one imports and allocates stays
            before = memory_mib(workers_of(service))
            for number in range(1, SWAPS + 1):
                swap(place, client, number)
                wait_until(lambda n=number: load.versions[f"s{n}"] > 10, 20, f"answers from s{number}")
            wait_until(
                lambda: memory_mib(workers_of(service)) - before < GROWN_MIB_MAX, 15, "the memory of what went is free"
            )
        service.terminate()
    assert (set(load.statuses), load.broken, load.refused) == ({200}, 0, 0)
    assert logged(place / "log") == load.versions
    assert KEPT_PINS < SWAPS


def memory_mib(pids: list[int]) -> float:
    return sum(psutil.Process(pid).memory_info().rss for pid in pids) / MIB


def logged(root: Path) -> Counter[str]:
    """Answered requests by the version that their record's schema names."""
    found: Counter[str] = Counter()
    reader = LogReader(root)
    while True:
        chunk = reader.read(10_000)
        for run in chunk.runs:
            for _, record in run.records:
                if isinstance(record, Request) and record.outcome is Outcome.ANSWERED:
                    found[run.schemas[record.schema].version] += 1
        if chunk.caught_up:
            return found
