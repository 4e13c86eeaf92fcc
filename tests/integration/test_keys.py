"""Keys of a running service with two workers: made, changed, revoked, limited, and asked for where others reach it."""

import json
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.key_file import FILE, KeyFile
from service.featurelog.ledger import audit
from tests.keys import bearer, made
from tests.load import Load
from tests.processes import Process, answers, environment, home, plumbline, served, wait_until
from tests.requests import payments_body

pytestmark = pytest.mark.integration

HOLDS_WITHIN_S = 1.0  # as promised
SETTLED_DEADLINE_S = 10
ROWS_PER_S, LIMITED_S = 20.0, 3.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return home(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def service(place: Path) -> Iterator[tuple[Process, str]]:
    with served(place, workers=2, PLUMBLINE_API_KEYS="required", PLUMBLINE_ADMIN_TOKEN="hunter2") as started:
        yield started


def command(place: Path, *words: str) -> Any:
    done = subprocess.run(
        plumbline("keys", *words, "--json", "--home", place),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def statuses(url: str, text: str, asked: int = 12) -> set[int]:
    """Of so many requests, each on a connection of its own: both workers answer."""
    path = f"{url}/v1/models/payments:predict"
    return {
        httpx.post(path, content=payments_body(), headers=bearer(text), trust_env=False).status_code
        for _ in range(asked)
    }


def test_a_key_is_changed_while_it_is_used_and_no_request_is_refused(place: Path, service: tuple[Process, str]) -> None:
    _, url = service
    old = command(place, "add", "rides-backend", "--scope", "predict:payments", "--expires", "90d")
    wait_until(lambda: statuses(url, old["key"]) == {200}, HOLDS_WITHIN_S * 3, "the new key opens")
    load = Load(f"{url}/v1/models/payments:predict", clients=3, key=old["key"], name="rotated")
    with load.running():
        new = command(place, "rotate", old["id"], "--overlap", "1h")
        wait_until(lambda: statuses(url, new["key"]) == {200}, HOLDS_WITHIN_S * 3, "the second key opens")
        load.key, before = new["key"], len(load.answered)
        wait_until(lambda: len(load.answered) > before + 100, 10, "answers to the second key")
        command(place, "revoke", old["id"])
        before = len(load.answered)
        wait_until(lambda: statuses(url, old["key"]) == {401}, HOLDS_WITHIN_S * 3, "the first key refused")
        wait_until(lambda: len(load.answered) > before + 100, 10, "answers after the first key has gone")
    assert set(load.statuses) == {200} and not load.broken and not load.refused


def test_a_revoked_key_is_refused_by_every_worker_within_a_second(place: Path, service: tuple[Process, str]) -> None:
    _, url = service
    text = made(place, "predict")
    wait_until(lambda: statuses(url, text) == {200}, HOLDS_WITHIN_S * 3, "the key opens")
    KeyFile(place / FILE).revoke(text[4:12], datetime.now(UTC))
    revoked_s = time.monotonic()
    wait_until(lambda: statuses(url, text) == {401}, HOLDS_WITHIN_S * 3, "refused by both workers")
    # twelve requests on a busy machine are part of this time
    assert time.monotonic() - revoked_s < HOLDS_WITHIN_S * 2


def test_a_key_gets_its_rows_a_second_over_all_workers_and_the_rest_is_on_record(
    place: Path, service: tuple[Process, str]
) -> None:
    _, url = service
    text = made(place, "predict", rows_per_s=ROWS_PER_S, burst_rows=10)
    wait_until(lambda: 401 not in statuses(url, text, 4), HOLDS_WITHIN_S * 3, "the key opens")
    load = Load(f"{url}/v1/models/payments:predict", clients=4, key=text, name="limited", kept=False)
    begun_s = time.monotonic()
    with load.running():
        wait_until(lambda: time.monotonic() - begun_s > LIMITED_S, LIMITED_S * 3, "some seconds of load")
    took_s = time.monotonic() - begun_s
    assert set(load.statuses) == {200, 429}
    # a worker that is asked less does not give its part away: about half of it must have come, and never more
    assert ROWS_PER_S * took_s * 0.4 < load.statuses[200] <= ROWS_PER_S * took_s + 10 + 2
    wait_until(lambda: adds_up(url, place), SETTLED_DEADLINE_S, "as many records as requests")


def adds_up(url: str, place: Path) -> bool:
    """P3, over all that this module asked."""
    page = httpx.get(f"{url}/metrics", headers=bearer("hunter2"), trust_env=False).text
    lines = [line for line in page.splitlines() if line.startswith("plumbline_requests_received_total")]
    found = audit(place / "log")
    return found.whole and sum(float(line.split()[-1]) for line in lines) == found.received > 0


def test_guesses_make_no_new_series_and_no_key_stands_in_what_the_service_wrote(
    place: Path, service: tuple[Process, str]
) -> None:
    process, url = service
    texts = [made(place, "predict"), command(place, "add", "logged", "--scope", "read")["key"]]
    wait_until(lambda: statuses(url, texts[0], 4) == {200}, HOLDS_WITHIN_S * 3, "the key opens")
    statuses(url, "plk_00000000_guess", 4)
    headers = bearer("hunter2")
    before = len(httpx.get(f"{url}/metrics", headers=headers, trust_env=False).text.splitlines())
    with httpx.Client(trust_env=False) as client:
        for number in range(300):
            guess = f"plk_{number:08x}_{number:064x}"
            path = f"{url}/v1/models/payments:predict"
            assert client.post(path, content=payments_body(), headers=bearer(guess)).status_code == 401
    page = httpx.get(f"{url}/metrics", headers=headers, trust_env=False).text
    assert len(page.splitlines()) == before
    assert 'plumbline_keys_refused_total{reason="unknown"}' in page
    written = process.output().encode()
    written += b"".join(
        path.read_bytes() for path in place.rglob("*") if path.is_file() and path.stat().st_size < 1 << 26
    )
    for text in texts:
        assert text[13:].encode() not in written
    assert b"hunter2" not in written


def test_prometheus_and_the_log_command_read_with_a_key(place: Path, service: tuple[Process, str]) -> None:
    _, url = service
    text = made(place, "read")
    wait_until(lambda: answers_to(f"{url}/metrics", text), HOLDS_WITHIN_S * 3, "the key opens")
    verify = plumbline("log", "verify", "--json", "--home", place)
    asked = subprocess.run(verify, env=environment(PLUMBLINE_API_KEY=text), capture_output=True, text=True, check=False)
    told = json.loads(asked.stdout)
    assert asked.returncode == 0 and told["service"]["url"] == url, asked.stderr
    asked = subprocess.run(verify, env=environment(), capture_output=True, text=True, check=False)
    assert "PLUMBLINE_API_KEY" in asked.stderr and json.loads(asked.stdout)["service"]["url"] == ""


def answers_to(url: str, text: str) -> bool:
    return httpx.get(url, headers=bearer(text), trust_env=False).status_code == 200


def test_a_service_that_others_reach_asks_for_keys_and_one_made_meanwhile_opens(tmp_path: Path) -> None:
    place = home(tmp_path)
    with served(place, PLUMBLINE_HOST="0.0.0.0") as (process, url):
        answer = httpx.post(f"{url}/v1/models/payments:predict", content=payments_body(), trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (401, "key_missing")
        assert "plumbline keys add" in answer.json()["error"]
        assert "plumbline keys add" in httpx.get(f"{url}/readyz", trust_env=False).json()["problems"][0]
        assert "keys.asked_for" in process.output()
        assert answers(f"{url}/livez")
        text = made(place, "predict")
        wait_until(lambda: statuses(url, text, 1) == {200}, HOLDS_WITHIN_S * 3, "the first key opens")
