"""Whoever is woken types what a runbook says: each command is run, in a home that serves, and does what it is for."""

import shlex
from collections.abc import Iterator

import pytest

from tests.documents import Step, fenced, questions
from tests.processes import ROOT
from tests.reader import Reader

pytestmark = [pytest.mark.integration, pytest.mark.slow]

RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
COMMANDS = sorted({tuple(words) for page in RUNBOOKS for words in fenced(page.read_text())})
QUESTIONS = sorted({line for page in RUNBOOKS for line in questions(page.read_text())})
STARTS = ("monitor", "--home")  # what the reader's second terminal does already
# A quiet home has no such event, minute, version or canary, and its routes are so already: these say so. All others are done.
MAY_SAY_NO = (
    "monitor ack",
    "monitor explain",
    "monitor replay",
    "rollout abort",
    "rollout replay",
    "rollout resume",
    "rollout start payments 3",
    "routes rollback",
    "routes set",
)
ROW = (
    '{"amount": 42.5, "merchant_category": "groceries", "country": "DE", "channel": "chip", "customer_age": 40, '
    '"account_age_days": 900, "payments_last_24h": 2, "minutes_since_last": 310.0}'
)
BEFORE = f"""
mkdir .plumbline/rollouts && echo 'version = "2"' > .plumbline/rollouts/payments.toml
curl -s http://127.0.0.1:3000/v1/models/payments:predict -H 'content-type: application/json' -d '{{"instances": [{ROW}]}}'
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    reader = Reader(tmp_path_factory.mktemp("reader"))
    with reader.up(".venv/bin/plumbline up"):
        reader.follow(Step(BEFORE, ()))
        yield reader


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[: len(STARTS)] != STARTS], ids=shlex.join)
def test_a_command_of_a_runbook_does_what_it_is_for(reader: Reader, words: tuple[str, ...]) -> None:
    code, output = reader.tried(f".venv/bin/plumbline {shlex.join(words)}")
    assert code == 0 or shlex.join(words).startswith(MAY_SAY_NO), f"exit code {code}: {output}"
    assert "Traceback" not in output


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_of_a_runbook_has_an_answer(reader: Reader, question: str) -> None:
    assert reader.answered(question)
