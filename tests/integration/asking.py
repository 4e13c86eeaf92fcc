"""What do the tests of others' clients ask of the demo models, and what does V1 say to the same?"""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from models.contract import Contract
from models.demo.simulator import Row
from models.manifest import CONTRACT
from tests.processes import ROOT
from tests.requests import MONDAY_S, payments_rows


def contract(model: str) -> Contract:
    return Contract.decode((ROOT / f"models/demo/artefacts/{model}/1" / CONTRACT).read_bytes())


def payments(n: int) -> list[Row]:
    """Payments without nulls: binary data has none."""
    return [{**row, "customer_age": row["customer_age"] or 40} for row in payments_rows(1, [MONDAY_S] * n)]


def tumours(n: int) -> np.ndarray[Any, Any]:
    columns = contract("tumours").features
    low, high = (np.array([getattr(column, end) for column in columns], np.float32) for end in ("low", "high"))
    return (low + (high - low) * np.random.default_rng(1).random((n, len(columns)))).astype(np.float32)


def by_v1(address: str, model: str, instances: Any) -> dict[str, np.ndarray[Any, Any]]:
    answer = httpx.post(f"http://{address}/v1/models/{model}:predict", json={"instances": instances}, trust_env=False)
    assert answer.status_code == 200, answer.text
    predictions = answer.json()["predictions"]
    return {name: np.array([row[name] for row in predictions]) for name in predictions[0]}


def curl(*arguments: str | Path) -> Any:
    command = ["curl", "--silent", "--show-error", "--fail-with-body", "--noproxy", "*", *map(str, arguments)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
