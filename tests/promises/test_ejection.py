"""P5: a version whose run ends its worker three times in five minutes is taken out; the version before answers."""

import os
import subprocess
from pathlib import Path

import httpx
import pytest

from models.lock import Pin
from models.lock_file import LockFile
from service.ejected import EjectedFile
from service.rehearsal import REQUESTS_MAX
from service.routes_audit import Via
from service.routes_file import RoutesFile
from service.seeding import route_first
from tests.onnx_models import dividing, dividing_contract, install, keeping
from tests.processes import Process, environment, home, plumbline, served, wait_until
from tests.requests import payments_body
from tests.workers import workers_of

HARMLESS, DEADLY = {"instances": [[7.0]]}, {"instances": [[-8.0]]}
TOLD_WITHIN_S = (
    120.0  # a worker is missed within half a second, and a new one is warm within some; more where much else runs
)


def furnish(place: Path) -> Pin:
    """`ratio` in a good version and one that crashes for -8, beside the demo models."""
    kept = install(place, "ratio", "1", keeping(), dividing_contract())
    route_first(RoutesFile(place / "routes.toml"), kept)
    return install(place, "ratio", "2", dividing(), dividing_contract())


def ask(url: str, body: object, path: str = "/v1/models/ratio:predict", key: str = "") -> int:
    """The status; 0 where the worker died of it or nobody accepts just now."""
    headers = {"x-api-key": key} if key else {}
    try:
        return httpx.post(f"{url}{path}", json=body, headers=headers, trust_env=False, timeout=10).status_code
    except httpx.TransportError:
        return 0


def crash(service: Process, url: str, path: str, key: str = "") -> None:
    """One worker dies of one request, and another takes its place."""
    before = workers_of(service)
    assert ask(url, DEADLY, path, key) == 0
    wait_until(lambda: any(pid not in workers_of(service) for pid in before), TOLD_WITHIN_S, "a worker died")
    wait_until(lambda: len(workers_of(service)) == len(before), TOLD_WITHIN_S, "another in its place")
    wait_until(lambda: ask(url, HARMLESS, key=key) == 200, TOLD_WITHIN_S, "answers")


def command(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(plumbline(*words), env=environment(), capture_output=True, text=True, check=False)


def states(url: str) -> str:
    """What the workers say of their versions."""
    return httpx.get(f"{url}/admin/versions", headers={"authorization": "Bearer secret"}, trust_env=False).text


@pytest.mark.integration
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="other processors divide without a signal")
def test_a_version_that_ends_its_worker_three_times_is_ejected_and_comes_back_by_hand_only(tmp_path: Path) -> None:
    place = home(tmp_path)
    with served(place, workers=2, PLUMBLINE_ADMIN_TOKEN="secret") as (service, url):
        bad, out = furnish(place), EjectedFile(place / "ejected.json")
        done = command("routes", "set", "ratio", "--stable", "2", "--home", place)
        assert done.returncode == 0, done.stderr
        for _ in range(3):
            crash(service, url, "/v1/models/ratio:predict")
        wait_until(lambda: bad.digest in out.by_digest(), TOLD_WITHIN_S, "the ejection")
        assert RoutesFile(place / "routes.toml").read().models["ratio"].stable == "1"
        entry = RoutesFile(place / "routes.toml").entries()[-1].entry
        assert (entry.via, entry.why.endswith("by SIGFPE")) == (Via.EJECTED, True)
        wait_until(lambda: ask(url, DEADLY) == 200, TOLD_WITHIN_S, "the version before answers what ended the other")
        assert ask(url, HARMLESS, "/v1/models/ratio/versions/2:predict") == 503
        body = httpx.post(f"{url}/v1/models/payments:predict", content=payments_body(), trust_env=False)
        assert body.status_code == 200
        assert "plumbline_versions_ejected 1.0" in httpx.get(f"{url}/metrics", trust_env=False).text
        assert "ratio:2: ejected" in httpx.get(f"{url}/readyz", trust_env=False).text
        assert command("routes", "verify", "--home", place).returncode == 0

        before = workers_of(service)
        done = command("routes", "canary", "ratio", "2", "10", "--home", place)
        assert (done.returncode, "SIGFPE" in done.stderr) == (3, True), "what ended it is among the newest requests"
        assert workers_of(service) == before, "and was asked in a process of its own"
        for _ in range(REQUESTS_MAX):
            assert ask(url, HARMLESS) == 200
        LockFile(place / "models.lock.toml").pin(bad)  # asks for another try
        wait_until(lambda: "refused" not in states(url), TOLD_WITHIN_S, "it is tried again")
        done = command("routes", "canary", "ratio", "2", "10", "--home", place)
        assert done.returncode == 0, done.stderr
        assert out.by_digest() == {}
        wait_until(
            lambda: ask(url, HARMLESS, "/v1/models/ratio/versions/2:predict") == 200, TOLD_WITHIN_S, "it is back"
        )
        service.terminate()
    assert '"event": "worker.died"' in service.output() and '"blamed": "ratio:2"' in service.output()
