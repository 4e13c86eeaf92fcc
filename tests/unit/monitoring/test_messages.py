"""What each kind of receiver is told, by its own contract; and templates."""

from dataclasses import replace

import msgspec
import pytest

from monitoring.dispatch.message import CLOUD_EVENT, INPUT_CHARS_MAX, SLACK_INCIDENTS_MAX, compose
from monitoring.dispatch.receiver import Kind, Receiver
from monitoring.dispatch.template import fill, problem
from monitoring.events import Event
from tests.unit.monitoring.dispatched import CHAT, PAGER, WEBHOOK, end, facts, opening

NOW_S = 1_740_000_000.0


def composed(receiver: Receiver, *events: Event):
    return compose(receiver, [(facts(event), event.body) for event in events], NOW_S)


def told(receiver: Receiver, *events: Event):
    return msgspec.json.decode(composed(receiver, *events).body)


def test_a_webhook_gets_the_event_byte_for_byte() -> None:
    message = composed(WEBHOOK, opening())
    assert (message.id, message.body, message.content_type) == ("evt_0000", opening().body, CLOUD_EVENT)
    assert (message.method, message.path, message.confirm) == ("POST", "", "")


def test_a_template_makes_the_body_and_no_name_breaks_out_of_its_quotes() -> None:
    template = '{"what": "${reason}", "n": "${window.rows}", "all": ${event}}'
    event = opening(reason='say "hi"\\\n', window={"rows": 7})
    message = composed(replace(WEBHOOK, template=template), event)
    assert message.content_type == "application/json"
    body = msgspec.json.decode(message.body)
    assert body["what"] == 'say "hi"\\\n'
    assert body["n"] == "7"
    assert body["all"]["id"] == "evt_0000"


def test_a_template_of_text_is_text() -> None:
    message = composed(
        replace(WEBHOOK, template='${model} "${reason}"', content_type="text/plain"), opening(reason='"')
    )
    assert (message.body, message.content_type) == (b'payments """', "text/plain")


@pytest.mark.parametrize("text", ["${MODEL}", "100 $", "${model", "${}", "x" * 20_001])
def test_a_template_that_means_nothing_is_told_at_the_start(text: str) -> None:
    assert problem(text) is not None


def test_a_template_knows_fields_and_nothing_else() -> None:
    event = {"id": "e", "data": {"model": "m", "window": {"rows": 3}, "also": [1], "gone": None}}
    assert (
        fill("${id} ${model} ${window.rows} ${also} [${gone}${missing}${model.upper}${model.__class__}] $$", event)
        == "e m 3 [1] [] $"
    )
    assert problem("${window.rows} $$ ${event}") is None


def test_alertmanager_gets_one_alert_whose_labels_do_not_change_until_it_ends() -> None:
    pager = replace(PAGER, labels={"team": "ml"})
    message = composed(pager, opening())
    (fired,) = msgspec.json.decode(message.body)
    (over,) = told(pager, end())
    assert (message.path, message.content_type) == ("/api/v2/alerts", "application/json")
    assert fired["labels"] == over["labels"]
    assert fired["labels"] == {
        "alertname": "PlumblineRetrainRequested",
        "severity": "warning",
        "team": "ml",
        "model": "payments",
        "version": "1",
        "incident": "evt_0000",
    }
    assert fired["startsAt"] == over["startsAt"] == "2025-02-19T21:19:00Z"
    assert fired["endsAt"] == "2025-02-19T21:24:00.000+00:00", "four repetitions from now"
    assert over["endsAt"] == "2025-02-19T22:20:00Z"


@pytest.mark.parametrize(("api", "body"), [("v1", {}), ("v2", {"logical_date": None})])
def test_airflow_gets_a_run_under_the_event_s_id_and_no_logical_date_to_collide_with(api: str, body: dict) -> None:
    receiver = Receiver(name="airflow", kind=Kind.AIRFLOW, dag="retrain", api=api)
    message = composed(receiver, opening())
    assert message.path == f"/api/{api}/dags/retrain/dagRuns"
    assert message.confirm == f"/api/{api}/dags/retrain/dagRuns/evt_0000"
    assert told(receiver, opening()) == {
        "dag_run_id": "evt_0000",
        "conf": {"event": msgspec.json.decode(opening().body)},
        **body,
    }


def test_github_gets_inputs_of_text_cut_to_what_it_takes() -> None:
    receiver = Receiver(name="actions", kind=Kind.GITHUB, repository="acme/ml", workflow="retrain.yml", ref="release")
    message = composed(receiver, opening(reason="x" * 9000))
    assert message.path == "/repos/acme/ml/actions/workflows/retrain.yml/dispatches"
    assert message.headers["accept"] == "application/vnd.github+json"
    body = msgspec.json.decode(message.body)
    assert body["ref"] == "release"
    assert body["inputs"] == {
        "event_id": "evt_0000",
        "model": "payments",
        "version": "1",
        "reason": "x" * INPUT_CHARS_MAX,
    }
    own = told(replace(receiver, inputs={"rows": "${window.rows}"}), opening(window={"rows": 7}))
    assert own["inputs"] == {"rows": "7"}


def test_a_chat_is_told_in_words_that_wake_nobody_by_accident() -> None:
    event = opening(model="<!channel>", reason="<!channel> & more " * 500)
    body = told(CHAT, event)
    assert "<!" not in str(body)
    assert body["text"] == "&lt;!channel&gt;:1: retraining requested"
    for block in body["blocks"]:
        assert block["type"] == "section"
        assert len(block["text"]["text"]) <= 3000
    assert "evt_0000" in body["blocks"][-1]["text"]["text"]


def test_a_chat_message_of_many_incidents_is_bounded_and_says_how_many() -> None:
    events = [opening(number) for number in range(SLACK_INCIDENTS_MAX + 5)]
    body = told(CHAT, *events)
    assert body["text"] == f"payments: {len(events)} incidents"
    assert len(body["blocks"]) == SLACK_INCIDENTS_MAX + 2
    assert body["blocks"][-1]["text"]["text"].startswith("and 5 more")


def test_a_chat_is_told_when_it_is_over() -> None:
    assert told(CHAT, end())["text"] == "payments:1: incident is over"
