"""Clients with dependencies of their own, against the running service: kserve's Python client, `mlserver infer`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.contract import Kind
from models.demo.simulator import Row
from tests.integration.asking import by_v1, contract, payments
from tests.integration.environments import LOCKS, environment_of
from tests.processes import environment, home, served

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]  # the first run of a machine installs the clients

ASK_DEADLINE_S = 120  # their imports alone take ten seconds on a busy machine
ROWS = 3
DATATYPES = {Kind.FLOAT: "FP64", Kind.INT: "INT64", Kind.BOOL: "BOOL", Kind.STRING: "BYTES"}
Expected = dict[str, np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(home(tmp_path_factory.mktemp("other-clients"))) as (_, url):
        yield url.removeprefix("http://")


def told(*command: str | Path, given: str = "") -> str:
    """What a client prints."""
    ran = subprocess.run(
        [str(word) for word in command],
        input=given,
        capture_output=True,
        text=True,
        timeout=ASK_DEADLINE_S,
        check=False,
        env=environment(PYTHONPATH=""),
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    return ran.stdout


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="kserve has no release for this Python")
def test_kserves_client_asks_v1_and_v2(address: str) -> None:
    python = environment_of("kserve") / "python"
    rows = payments(ROWS)
    script = LOCKS / "ask_kserve.py"
    found = json.loads(told(python, script, f"http://{address}", "payments", given=json.dumps(rows)))
    expected = by_v1(address, "payments", rows)
    assert (found["v1"]["live"], found["v1"]["ready"]) == (True, True)
    assert {name: [row[name] for row in found["v1"]["predictions"]] for name in expected} == plain(expected)
    for answer in (found["v2"], found["v2_binary"]):
        assert (answer["server"], answer["models"]) == ([True, True], [True, False])
        assert (answer["id"], answer["model"]) == ("mine", "payments")
        assert answer["outputs"] == plain(expected)
    assert "missing input 'amount'" in found["refused"] and "400" in found["refused"]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="mlserver has no release for this Python")
@pytest.mark.parametrize("options", [[], ["--binary-data"], ["--batch-size", "2"]], ids=str)
def test_mlserver_infer_sends_a_file_of_requests(address: str, tmp_path: Path, options: list[str]) -> None:
    command = environment_of("mlserver") / "mlserver"
    rows = payments(ROWS)
    (tmp_path / "in").write_text("".join(f"{json.dumps(v2(row))}\n" for row in rows))
    files = ["--input-data-path", tmp_path / "in", "--output-data-path", tmp_path / "out"]
    told(command, "infer", "--url", address, "--model-name", "payments", *files, *options)
    found = sorted(map(json.loads, (tmp_path / "out").read_text().splitlines()), key=index)
    expected = plain(by_v1(address, "payments", rows))
    assert len(found) == ROWS
    for place, answer in enumerate(found):
        outputs = {output["name"]: output["data"] for output in answer["outputs"]}
        assert outputs == {name: np.ravel(values[place]).tolist() for name, values in expected.items()}


def index(answer: dict[str, Any]) -> int:
    place: int = answer["parameters"]["batch_index"]
    return place


def plain(expected: Expected) -> dict[str, Any]:
    return {name: values.tolist() for name, values in expected.items()}


def v2(row: Row) -> dict[str, Any]:
    """One row, a tensor a feature."""
    columns = contract("payments").features
    return {
        "inputs": [
            {"name": one.name, "shape": [1], "datatype": DATATYPES[one.kind], "data": [row[one.name]]}
            for one in columns
        ]
    }
