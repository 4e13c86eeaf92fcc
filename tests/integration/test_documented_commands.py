"""Whoever reads docs/ types what stands there: each command is run, in the order of its page, in a home that serves."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper

from tests.documents import DOCUMENTS, Step, fenced, questions
from tests.onnx_models import Tensors, proto
from tests.processes import ROOT
from tests.reader import Reader

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ARTEFACTS = ROOT / "models" / "demo" / "artefacts"
ELSEWHERE = {"README.md", "tutorial.md"}  # test_tutorial.py; the runbooks: test_runbook_commands.py
PAGES = [page for page in DOCUMENTS if page.name not in ELSEWHERE and page.parent.name != "runbooks"]
COMMANDS = [(page.name, *words) for page in PAGES for words in fenced(page.read_text())]
QUESTIONS = sorted({line for page in PAGES for line in questions(page.read_text())})
# What is not typed here, and who does it.
LEFT_OUT = {
    "serve": "goes on until it is stopped: test_tracing.py",
    "models pin rides 2 oci:": "test_oci.py, with a registry",
    "models push rides:2 oci:": "test_oci.py, with a registry",
    "models pin rides 2 mlflow:": "test_mlflow.py, with MLflow",
    "models pin rides 2 bentoml:": "tests/unit/models/sources/test_bentoml.py, with a store",
}
# A quiet home has no such event, minute or canary: these say so. All others are done.
MAY_SAY_NO = ("monitor ack", "monitor answer", "monitor replay", "rollout replay")
ROW = (
    '{"amount": 142.5, "merchant_category": "groceries", "country": "DE", "channel": "chip", "customer_age": 40, '
    '"account_age_days": 900, "payments_last_24h": 2, "minutes_since_last": 310.0}'
)
LOAN = '{"customer_id": "c-17", "income": 30000, "name": "somebody"}'
JSON = "-H 'content-type: application/json'"
SERVICE = "http://127.0.0.1:3000"
# Requests, of which one has its label and all have a shadow's answer; somebody who will want to be forgotten; a key to a model.
BEFORE = f"""
.venv/bin/plumbline models add loans.onnx --name loans --data loans.csv --privacy customer_id=hash
.venv/bin/plumbline models pin rides 1 file:{ARTEFACTS}/payments/1
.venv/bin/plumbline routes set payments --shadow 2
for id in r1 r2 r3; do
  curl -sf {SERVICE}/v1/models/payments:predict {JSON} -H "x-request-id: $id" -d '{{"instances": [{ROW}]}}'
done
curl -sf {SERVICE}/v1/models/payments:feedback {JSON} -d '{{"request_id": "r1", "label": 0}}'
curl -sf --retry 10 --retry-all-errors {SERVICE}/v1/models/loans:predict {JSON} -d '{{"instances": [{LOAN}]}}'
.venv/bin/plumbline keys add rides-backend --scope predict:rides --expires 90d --rows-per-s 1000
openssl ecparam -name prime256v1 -genkey -noout -out release.pem
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    reader = Reader(tmp_path_factory.mktemp("reader"))
    bring(reader.folder)
    with reader.up(".venv/bin/plumbline up"):
        reader.follow(Step(BEFORE, ()))
        yield reader


@pytest.mark.parametrize(
    "words", [words for words in COMMANDS if not shlex.join(words[1:]).startswith(tuple(LEFT_OUT))], ids=shlex.join
)
def test_a_command_of_a_page_does_what_it_is_for(reader: Reader, words: tuple[str, ...]) -> None:
    command = shlex.join(named_here(reader, word) for word in words[1:])
    code, output = reader.tried(f".venv/bin/plumbline {command}")
    assert code == 0 or command.startswith(MAY_SAY_NO), f"exit code {code}: {output}"
    assert "Traceback" not in output


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_of_a_page_has_an_answer(reader: Reader, question: str) -> None:
    assert reader.answered(question)


def test_what_is_left_out_is_typed_elsewhere() -> None:
    left = [shlex.join(words[1:]) for words in COMMANDS]
    assert all(any(command.startswith(start) for command in left) for start in LEFT_OUT)


def named_here(reader: Reader, word: str) -> str:
    """What stands in the documents for something that every home names otherwise."""
    found = {
        "3f9a1c2b": lambda: listed(reader, "keys list", r"\b[0-9a-f]{8}\b"),
        "3f2a9c01": lambda: listed(reader, "monitor silence list", r"\b[0-9a-f]{8}\b"),
        "sha256:8c1f…": lambda: listed(reader, "models show rides 2", r"sha256:[0-9a-f]{64}"),
        "file:/srv/artefacts/rides/2": lambda: f"file:{ARTEFACTS}/payments/2",
    }.get(word)
    return word if found is None else found()


def listed(reader: Reader, command: str, pattern: str) -> str:
    code, output = reader.tried(f".venv/bin/plumbline {command}")
    hit = re.search(pattern, output)
    assert code == 0 and hit, output
    return hit[0]


def bring(folder: Path) -> None:
    """The reader's own files: two models of loans with their data, and changed rules."""
    rng, n = np.random.default_rng(0), 3000
    income = rng.gamma(4, 9000, n)
    loans = pd.DataFrame({"customer_id": [f"c-{i % 500}" for i in range(n)], "income": income, "name": "somebody"})
    loans.to_csv(folder / "loans.csv", index=False)
    defaulted = (rng.uniform(size=n) < 1 / (1 + np.exp(income * 1e-4))).astype(int)
    at = pd.date_range("2026-01-01", periods=n, freq="h")
    frame = pd.DataFrame({"income": income, "defaulted": defaulted, "at": at})
    frame[: 2 * n // 3].to_csv(folder / "train.csv", index=False)
    frame[2 * n // 3 :].to_csv(folder / "later.csv", index=False)
    (folder / "loans.onnx").write_bytes(defaults("customer_id", "name"))
    (folder / "model.onnx").write_bytes(defaults())
    (folder / "new.toml").write_text("hold_s = 300\n")


def defaults(*unread: str) -> bytes:
    """probability = 1 / (1 + e^(income / 10 000)); what else it is given it leaves aside."""
    nodes = [
        helper.make_node("Mul", ["income", "slope"], ["z"]),
        helper.make_node("Sigmoid", ["z"], ["probability"]),
        *(helper.make_node("Identity", [name], [f"{name} again"]) for name in unread),
    ]
    inputs: Tensors = {"income": ("FP32", ["N", 1]), **{name: ("BYTES", ["N", 1]) for name in unread}}
    slope = helper.make_tensor("slope", TensorProto.FLOAT, [1], [-1e-4])
    return proto(nodes, inputs, {"probability": ("FP32", ["N", 1])}, [slope]).SerializeToString()
