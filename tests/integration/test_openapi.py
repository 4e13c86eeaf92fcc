"""The running service against its own OpenAPI document: nothing that it does is undeclared, and what is declared is so.

schemathesis makes requests from the document, good ones and bad ones, and holds every answer against it: status, content type,
headers, schema; what the document forbids must be refused, methods that it does not name as well.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.featurelog.ledger import audit
from service.http.paths import templates
from tests.processes import Process, environment, home, served, wait_until

pytestmark = pytest.mark.integration

EXAMPLES_MAX = 30  # an operation in its fuzzing phase: all of them take 10 s on a quiet machine
DEADLINE_S = 240  # a bound against hanging, not a measure
CASES_MIN = 1000  # so that a run that hardly ran is no pass
SETTLED_DEADLINE_S = 10

# A schema that is the same for every model cannot say what one model takes: 400 is then right for a body that fits it. A
# deadline of 1 ms may pass: 504 is declared. No other 5xx is accepted. Headers that nobody declared are to be ignored.
CONFIG = """
headers = { Authorization = "Bearer secret", x-api-key = "secret" }
generation.allow-extra-parameters = false

[dictionaries]
models = { values = ["payments", "tumours"] }
versions = { values = ["1", "2"] }

[parameters]
"path.model" = { dictionary = "models", probability = 0.8 }
"path.version" = { dictionary = "versions", probability = 0.8 }

[checks]
not_a_server_error.expected-statuses = ["2xx", "4xx", "504"]
negative_data_rejection.expected-statuses = ["400", "401", "404", "409", "413", "415", "504"]
positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "409", "413", "415", "504"]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return home(tmp_path_factory.mktemp("openapi"))


@pytest.fixture(scope="module")
def service(place: Path) -> Iterator[tuple[Process, str]]:
    # with keys, so that each route which wants one is also asked without and with a wrong one; the token is one that opens all
    with served(place, PLUMBLINE_ADMIN_TOKEN="secret", PLUMBLINE_API_KEYS="required") as started:
        yield started


def test_schemathesis_finds_nothing_that_is_not_declared(
    service: tuple[Process, str], place: Path, tmp_path: Path
) -> None:
    process, url = service
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", config, "run", f"{url}/openapi.json"]
    bounds = ["--generation-deterministic", "--max-examples", EXAMPLES_MAX, "--phases", "examples,coverage,fuzzing"]
    done = subprocess.run(
        [*map(str, command), *map(str, bounds), "--checks", "all", "--continue-on-failure", "--no-color"],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert f"Tested: {len(templates()) - 1}" in done.stdout  # all but the document itself, which it has just read
    made = int(done.stdout.partition("Test cases:")[2].split()[0])
    assert made >= CASES_MIN
    failed = [line for line in process.output().splitlines() if "edge.failed" in line or "predict.failed" in line]
    assert failed == []
    wait_until(lambda: adds_up(url, place), SETTLED_DEADLINE_S, "as many records as requests")


def adds_up(url: str, place: Path) -> bool:
    """P3: every predict request that the metrics know has its record, none was dropped."""
    lines = httpx.get(f"{url}/metrics", headers=ADMIN, trust_env=False).text.splitlines()
    received = sum(float(line.split()[-1]) for line in lines if line.startswith("plumbline_requests_received_total"))
    found = audit(place / "log")
    return found.whole and received == found.received > 0 and not any(found.dropped.values())


def examples(url: str) -> list[tuple[str, str, str, Any]]:
    document = httpx.get(f"{url}/openapi.json", trust_env=False).json()
    return [
        (method, path, name.partition(",")[0], example["value"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        for content in operation.get("requestBody", {}).get("content", {}).values()
        for name, example in content.get("examples", {}).items()
    ]


def test_every_example_of_the_document_works_as_it_stands(service: tuple[Process, str]) -> None:
    _, url = service
    found = examples(url)
    assert len(found) >= 10
    for method, path, model, body in found:
        asked = path.format(model=model, version="1")
        answer = httpx.request(method, f"{url}{asked}", json=body, headers=ADMIN, trust_env=False)
        assert answer.is_success, f"{asked}: {answer.text}"


ADMIN = {"authorization": "Bearer secret"}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def test_the_page_comes_with_the_policy_that_keeps_it_apart(service: tuple[Process, str]) -> None:
    _, url = service
    for path in ("/docs", "/"):
        answer = httpx.get(f"{url}{path}", headers={"accept": BROWSER}, trust_env=False)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "POST</b> <code>/v2/models/{model}/infer" in answer.text
