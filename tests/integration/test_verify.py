"""`plumbline log verify` beside a running service: its counters and the log, and a record that is taken away."""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.featurelog.files import list_segments
from tests.processes import environment, home, plumbline, served
from tests.requests import payments_body

REQUESTS = 40


def verify(place: Path) -> tuple[int, dict[str, Any]]:
    command = plumbline("log", "verify", "--home", place, "--json")
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.integration
def test_the_log_is_held_against_the_counters_of_the_running_service(tmp_path: Path) -> None:
    place = home(tmp_path)
    with served(place):  # an earlier life of the service is not counted by the next
        pass
    with served(place, PLUMBLINE_LOG_SEGMENT_BYTES_MAX="4000") as (_, url):
        for _ in range(REQUESTS):
            httpx.post(f"{url}/v1/models/payments:predict", content=payments_body(), trust_env=False).raise_for_status()
        code, said = verify(place)
        assert (code, said["ok"], said["answered"]) == (0, True, REQUESTS)
        assert said["service"] == {"url": url, "differences": [], "behind": 0}

        newest_epoch = [one for one in list_segments(place / "log" / "w0") if one.epoch == 2]
        newest_epoch[1].path.unlink()
        code, said = verify(place)
        assert (code, said["ok"]) == (1, False)
        assert said["gaps"]
        assert any("the service counts logged answered" in line for line in said["service"]["differences"])
    code, said = verify(place)
    assert said["service"]["url"] == ""
