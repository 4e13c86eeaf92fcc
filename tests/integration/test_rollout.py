"""A rollout of a real service: what it wrote of a canary is what `plumbline rollout` sees."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.processes import environment, home, plumbline, served, wait_until
from tests.requests import payments_body

pytestmark = pytest.mark.integration

BEGAN_US = 1_767_571_200_000_000  # Monday 2026-01-05 00:00 UTC
MINUTES, A_MINUTE = 6, 60
BODY = payments_body()
PLAN = """
version = "2"
steps = [30, 100]
bake_s = 3600
[guards.errors]
tolerance = 0.01
[guards.rejections]
tolerance = 0.9
[[guards.latency]]
quantile = 0.5
ratio = 100
[guards.predictions]
tolerance = 0.9
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = home(tmp_path)
    (made / "plumbline.toml").write_text('[service]\nevent_time_header = "x-event-time"\n')
    (made / "rollouts").mkdir()
    (made / "rollouts" / "payments.toml").write_text(PLAN)
    return made


def _command(*words: str | Path) -> bytes:
    done = subprocess.run(plumbline(*words), env=environment(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _arm(client: httpx.Client, at_us: int, key: str, version: str = "") -> str:
    """Who answered."""
    headers = {"x-event-time": str(at_us), "x-customer-id": key}
    answer = client.post(f"/v1/models/payments{version}:predict", content=BODY, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-model-arm"]


def _send(client: httpx.Client) -> Counter[str]:
    """Six minutes of callers, each tenth of them with a pinned version; counts those after the first minute by arm."""
    arms: Counter[str] = Counter()
    for number in range(MINUTES * A_MINUTE):
        at_us = BEGAN_US + number * 60_000_000 // A_MINUTE
        arm = _arm(client, at_us, f"customer-{number}", version="/versions/2" if number % 10 == 0 else "")
        arms[arm] += number >= A_MINUTE  # the first minute only says what stable is like
    _arm(client, BEGAN_US + (MINUTES + 2) * 60_000_000, "after", version="/versions/2")
    return arms


def test_what_a_service_wrote_of_a_canary_is_seen_by_arm_and_share(place: Path) -> None:
    with served(place) as (_, url), httpx.Client(base_url=url, trust_env=False) as client:
        words = ("--canary", "2", "--percent", "30", "--key", "header:x-customer-id", "--home", place)
        _command("routes", "set", "payments", *words)
        early = BEGAN_US - 3_600_000_000
        wait_until(lambda: {_arm(client, early, f"k{n}") for n in range(40)} == {"stable", "canary"}, 10, "both arms")
        arms = _send(client)
    piece = ("payments", "--from", "2026-01-05T00:00Z", "--home", place, "--json")
    told = json.loads(_command("rollout", "status", *piece))
    assert told["minute"] == f"2026-01-05T00:0{MINUTES - 1}:00Z"
    assert told["outcome"] == {"is": "hold", "reason": {"is": "baking", "have_s": MINUTES * 60, "need_s": 3600}}
    seen = {guard["guard"]: (guard["canary_n"], guard["stable_n"]) for guard in told["guards"]}
    assert set(seen) == {"errors", "rejections", "latency p50", "predictions"}
    assert set(seen.values()) == {(arms["canary"], arms["stable"])}
    assert arms["canary"] > A_MINUTE
    assert arms["pinned"] > 0
    replayed = _command("rollout", "replay", *piece)
    assert replayed == _command("rollout", "replay", *piece)
    assert len(replayed.splitlines()) == MINUTES
