"""The gates by HTTP; the requests are those of the documents of Flagger and Argo Rollouts."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.exporter import app
from monitoring.gates import BODY_BYTES_MAX
from monitoring.pulse import Pulse
from monitoring.rollout.control import Reason
from monitoring.rollout.gate import Gate, gate
from monitoring.rollout.outcome import (
    Advance,
    Baking,
    Done,
    Finding,
    Hold,
    NotApplied,
    NoTraffic,
    Outcome,
    Rollback,
    Suspicion,
)
from monitoring.status import RolloutStatus
from tests.unit.monitoring.test_exporter import status

FOUND = Finding("errors", "errors", 0.04, 0.01, 0.005, 500, 9500, 3.01, 2.7)
BACK, SUSPICION, BAKING = Rollback(FOUND), Hold(Suspicion(FOUND)), Hold(Baking(60, 600))
# https://docs.flagger.app/usage/webhooks, with the metadata of our hooks in place of the example's
FLAGGER = {"name": "podinfo", "namespace": "test", "phase": "Progressing", "metadata": {"model": "payments"}}


def told(outcome: Outcome | None, percent: float | None = 5.0, problem: str = "") -> RolloutStatus:
    return RolloutStatus(
        model="payments",
        version="2",
        minute_s=1_767_600_000,
        outcome=outcome,
        sentence="the sentence",
        step=None if percent is None else 1,
        percent=percent,
        guards=(FOUND,),
        stands=Reason.NOTHING,
        problem=problem,
        changes={"canary": 1},
        problems={"unreachable": 2},
    )


def pulse_of(rollout: RolloutStatus | None) -> Pulse:
    rollouts = () if rollout is None else (rollout,)
    return Pulse(msgspec.structs.replace(status(), rollouts=rollouts), 30.0)


def ask(pulse: Pulse, method: str, path: str, **given: object) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app(pulse))
        async with httpx.AsyncClient(transport=transport, base_url="http://monitor") as client:
            return await client.request(method, path, **given)

    return asyncio.run(asked())


def flagger(pulse: Pulse, path: str = "/gate/flagger", **metadata: str) -> httpx.Response:
    return ask(pulse, "POST", path, json={**FLAGGER, "metadata": {"model": "payments", **metadata}})


@pytest.mark.parametrize(
    ("outcome", "step_percent", "percent", "result"),
    [
        (None, None, None, Gate.UNKNOWN),
        (Hold(NoTraffic("canary")), None, None, Gate.UNKNOWN),
        (Hold(NoTraffic("canary")), None, 1, Gate.UNKNOWN),
        (BAKING, 5, None, Gate.WAIT),
        (BAKING, 5, 5, Gate.GO),
        (BAKING, 5, 25, Gate.WAIT),
        (BAKING, 100, None, Gate.WAIT),  # of the last step, which is not over
        (Advance(2, 25), 25, 25, Gate.GO),
        (Hold(NotApplied(25)), 25, 25, Gate.GO),
        (SUSPICION, 5, 5, Gate.WAIT),
        (BACK, 5, 1, Gate.STOP),
        (BACK, 5, None, Gate.STOP),
        (Done(), 100, None, Gate.GO),
        (Done(), 25, 100, Gate.GO),
    ],
)
def test_a_gate_says_what_the_evidence_permits(
    outcome: Outcome | None, step_percent: float | None, percent: float | None, result: Gate
) -> None:
    assert gate(told(outcome, step_percent), percent, None).result is result


@pytest.mark.parametrize("outcome", [BACK, Done(), BAKING], ids=["rollback", "done", "baking"])
def test_a_monitor_that_does_not_watch_knows_nothing(outcome: Outcome) -> None:
    assert gate(told(outcome), 1, "last tick 99 s ago").result is Gate.UNKNOWN
    answer = gate(told(outcome, problem="the log is gone"), 1, None)
    assert (answer.result, answer.reason) == (Gate.UNKNOWN, "the log is gone")


@pytest.mark.parametrize(
    ("outcome", "on", "back"), [(Done(), 200, 403), (BAKING, 403, 403), (BACK, 403, 200)], ids=["done", "wait", "back"]
)
def test_flagger_is_told_by_the_status_and_reads_the_reason(outcome: Outcome, on: int, back: int) -> None:
    pulse = pulse_of(told(outcome))
    assert flagger(pulse).status_code == on
    assert flagger(pulse, "/gate/flagger/rollback").status_code == back
    assert flagger(pulse).text.endswith(": the sentence")


def test_flagger_names_a_share_in_the_metadata_which_are_always_text() -> None:
    pulse = pulse_of(told(BAKING))
    assert flagger(pulse, percent="5").status_code == 200
    assert flagger(pulse, percent="25").status_code == 403


def test_no_data_halts_flagger_and_rolls_nothing_back() -> None:
    pulse = pulse_of(told(None, None))
    assert [flagger(pulse, path).status_code for path in ("/gate/flagger", "/gate/flagger/rollback")] == [503, 503]


def test_argo_finds_the_result_by_its_json_path() -> None:
    """`jsonPath: "{$.result}"`, `successCondition: result == "go"`, `failureCondition: result == "stop"`."""
    found = {
        outcome: ask(pulse_of(told(outcome)), "GET", "/gate/argo?model=payments") for outcome in (BAKING, BACK, Done())
    }
    assert {outcome: answer.json()["result"] for outcome, answer in found.items()} == {
        BAKING: "wait",
        BACK: "stop",
        Done(): "go",
    }
    assert {answer.status_code for answer in found.values()} == {200}
    assert found[BACK].json() == {
        "result": "stop",
        "model": "payments",
        "version": "2",
        "permitted": 0.0,
        "outcome": {"is": "rollback", "finding": msgspec.to_builtins(FOUND)},
        "reason": "the sentence",
    }
    assert ask(pulse_of(told(BAKING)), "GET", "/gate/argo?model=payments&percent=5").json()["result"] == "go"


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"", 400, "body: found"),
        (b"[]", 400, "expected a payload of Flagger"),
        (b'{"metadata": {"model": 1}}', 400, "expected a payload of Flagger"),
        (b"\xff", 400, "expected a payload of Flagger"),
        (b"[" * 10_000, 400, "expected a payload of Flagger"),
        (b'{"name": "podinfo"}', 400, "the hook's metadata: found no model"),
        (b'{"metadata": {"model": "tumours"}}', 404, "found 'tumours', expected a model with a rollout"),
        (b'{"metadata": {"model": "payments", "percent": "0"}}', 400, "found '0', expected a share above 0"),
        (b'{"metadata": {"model": "payments", "percent": "nan"}}', 400, "found 'nan'"),
        (b'{"metadata": {"model": "payments", "percent": "half"}}', 400, "found 'half'"),
        (b" " * (BODY_BYTES_MAX + 1), 413, f"more than {BODY_BYTES_MAX} bytes"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_a_gate_cannot_answer_is_told_and_is_no_success(body: bytes, status: int, sentence: str) -> None:
    for path in ("/gate/flagger", "/gate/flagger/rollback"):
        answer = ask(pulse_of(told(Done())), "POST", path, content=body)
        assert answer.status_code == status
        assert sentence in answer.text


def test_a_body_that_goes_on_for_ever_is_not_read_to_its_end() -> None:
    sent = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 1024

    assert ask(pulse_of(told(Done())), "POST", "/gate/flagger", content=parts()).status_code == 413
    assert sent * 1024 <= BODY_BYTES_MAX + 4096


@pytest.mark.parametrize(
    ("query", "status"), [("", 400), ("?model=", 400), ("?model=x", 404), ("?model=payments&percent=101", 400)]
)
def test_argo_gets_an_error_where_the_question_is_wrong(query: str, status: int) -> None:
    assert ask(pulse_of(told(Done())), "GET", f"/gate/argo{query}").status_code == status


def test_a_gate_takes_its_own_method_only() -> None:
    pulse = pulse_of(told(Done()))
    assert ask(pulse, "GET", "/gate/flagger").status_code == 405
    assert ask(pulse, "POST", "/gate/argo").status_code == 405


@given(st.binary(max_size=200))
def test_no_body_breaks_a_gate(body: bytes) -> None:
    assert ask(pulse_of(told(Done())), "POST", "/gate/flagger", content=body).status_code in (400, 404)


def test_a_rollout_stands_on_the_page_and_in_the_metrics() -> None:
    pulse = pulse_of(told(BACK))
    shown = json.loads(ask(pulse, "GET", "/api/status").content)["rollouts"][0]
    assert (shown["outcome"]["is"], shown["stands"]) == ("rollback", "nothing_to_do")
    text = ask(pulse, "GET", "/metrics").text
    assert 'plumbline_monitor_rollout_permitted_percent{model="payments",version="2"} 5.0' in text
    assert 'plumbline_monitor_rollout_outcome{model="payments",outcome="rollback",version="2"} 1.0' in text
    assert 'plumbline_monitor_rollout_changes_total{do="canary",model="payments"} 1.0' in text
    assert 'plumbline_monitor_rollout_problems_total{model="payments",reason="unreachable"} 2.0' in text
    assert 'reason="nothing_to_do"' in text
