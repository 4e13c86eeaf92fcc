"""Locust's scenarios against a real service: ten seconds of all traffic, no fault, and the log has what locust counted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT, environment, home, plumbline, served

pytestmark = pytest.mark.integration

USERS = 12  # the sum of the classes' weights: every kind of traffic runs
PAYMENTS = ("PaymentsByName", "PaymentsColumns", "PaymentsInBatches", "PaymentsWithLabels")
KINDS = ("by name", "columns", "batch", "lists", "matrix", "labelled")


def test_ten_seconds_of_all_traffic_have_no_fault_and_are_all_in_the_log(tmp_path: Path) -> None:
    counted, ledger = attack(tmp_path, seconds=10)
    predicted = predictions(counted)
    assert all(any(name.endswith(kind) for name in predicted) for kind in KINDS), sorted(predicted)
    assert sum(predicted.values()) > 10 * USERS
    assert ledger["answered"] == ledger["logged"] == sum(predicted.values())
    assert (ledger["log_dropped"], ledger["gaps"], ledger["corrupt"]) == ({}, [], [])


def test_an_incident_that_the_contract_refuses_is_answered_400_and_is_in_the_log(tmp_path: Path) -> None:
    counted, ledger = attack(tmp_path, "--incident", "column_missing", *PAYMENTS, seconds=4)
    assert sum(predictions(counted).values()) > USERS
    assert ledger["answered"] == 0
    assert counted_records(tmp_path, "rejected") == sum(predictions(counted).values())


def attack(tmp_path: Path, *options: str, seconds: int) -> tuple[dict[str, int], dict[str, object]]:
    """Runs locust against a fresh service; its counts by name, and what `log verify` says when the service has stopped."""
    place = home(tmp_path)
    with served(place, workers=2) as (service, address):
        locust = f"-m locust -f loadtests/locustfile.py --headless --json --users {USERS} --spawn-rate {USERS}"
        length = f"--run-time {seconds}s --stop-timeout 10"  # users finish what they asked: no answer goes uncounted
        report = ("--p99-ms", "600000", "--report", tmp_path / "report.html")  # nothing is said of this machine's speed
        run = subprocess.run(
            [sys.executable, *f"{locust} {length} --host {address}".split(), *report, *options],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        service.terminate()
    lines = json.loads(run.stdout)
    assert not [line["name"] for line in lines if line["num_failures"]], run.stderr
    return {line["name"]: line["num_requests"] for line in lines}, verified(place)


def predictions(counted: dict[str, int]) -> dict[str, int]:
    return {name: n for name, n in counted.items() if ":predict" in name or "/infer" in name}


def verified(place: Path) -> dict[str, object]:
    verify = plumbline("log", "verify", "--home", place, "--json")
    return dict(json.loads(subprocess.run(verify, cwd=ROOT, capture_output=True, check=True, timeout=60).stdout))


def counted_records(tmp_path: Path, outcome: str) -> int:
    """Request records of this outcome."""
    export = plumbline("log", "export", "--home", tmp_path / "home", "--format", "jsonl")
    lines = subprocess.run(export, cwd=ROOT, capture_output=True, check=True, timeout=60).stdout.splitlines()
    return sum(json.loads(line).get("outcome") == outcome for line in lines)
