"""A disk that refuses to fsync the log: requests are answered, it is counted, and the right person is woken."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from service.routes_document import ModelRoutes, Routes
from service.routes_file import RoutesFile
from tests.alarms.quick import quick
from tests.alarms.told import Told
from tests.faulty import FEATURES, faulty, install
from tests.integration.test_alertmanager import pager
from tests.observing import Target, alertmanager, prometheus, query
from tests.processes import served, wait_until
from tests.refusing_disk import refusing_disk
from tests.small_disk import CannotMount

pytestmark = pytest.mark.integration

ALERT, HOME, DEADLINE_S = "PlumblineLogNotSynced", "default", 60.0
ROWS = [[0.1] * len(FEATURES)] * 200


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_a_disk_that_refuses_to_fsync_wakes_somebody_and_loses_no_answer(tmp_path: Path, durability: str) -> None:
    home = tmp_path / "home"
    try:
        with refusing_disk(home / "log", tmp_path / "beneath") as refuse:
            _refused(tmp_path, home, refuse, durability)
    except CannotMount as error:
        pytest.skip(str(error))


def _refused(folder: Path, home: Path, refuse: Callable[[], Path], durability: str) -> None:
    install(home, "m", "1", faulty())
    RoutesFile(home / "routes.toml").swap(0, Routes(1, {"m": ModelRoutes(stable="1")}))
    with (
        served(home, PLUMBLINE_LOG_DURABILITY=durability) as (_, url),
        pager() as (at, messages),
    ):
        told = Told(messages)
        with (
            alertmanager(folder, at) as by,
            prometheus(folder / "prometheus", by, [Target("plumbline-service", HOME, url)], quick) as seen,
        ):
            wait_until(
                lambda: query(seen, "plumbline_log_fsync_failures_total"), DEADLINE_S, "Prometheus sees the service"
            )
            assert _asked(url) == 200
            refuse()
            assert _asked(url) == 200
            wait_until(lambda: told.of(ALERT, HOME), DEADLINE_S, f"{ALERT} is told, also where nobody asks any more")
            assert _asked(url) == 200


def _asked(url: str) -> int:
    return httpx.post(f"{url}/v1/models/m:predict", json={"instances": ROWS}, trust_env=False, timeout=10).status_code
