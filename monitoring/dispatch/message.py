"""In which words is a receiver told: one request of HTTP for each kind, without its secrets.

Laws
- A message is a function of the receiver, the events and the time: sent again it has the same id.
- Texts that a client chose (categories, names of columns) are escaped where the receiver would read markup.
- It is bounded: events are (BODY_BYTES_MAX), and what is made of them is cut to what the receiver takes.

Contracts: Standard Webhooks; Alertmanager API v2 (`openapi.yaml`); Airflow's stable REST API v1 (Airflow 2) and v2 (Airflow 3);
GitHub REST 2022-11-28, "Create a workflow dispatch event"; Slack incoming webhooks with Block Kit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from monitoring.dispatch.facts import Facts
from monitoring.dispatch.receiver import Kind, Receiver
from monitoring.dispatch.template import fill

CLOUD_EVENT = "application/cloudevents+json"
JSON = "application/json"
ALERTNAME = "PlumblineRetrainRequested"
MISSED_REPEATS = 4  # Prometheus's own choice: an alert ends when four repetitions in a row did not come
SLACK_SECTION_CHARS_MAX = 2900  # Slack refuses a section of more than 3 000
SLACK_INCIDENTS_MAX = 20  # Slack refuses more than 50 blocks
INPUT_CHARS_MAX = 4000  # GitHub refuses inputs of more than 65 535 together, and more than 10 of them on older servers
GITHUB_INPUTS = {"event_id": "${id}", "model": "${model}", "version": "${version}", "reason": "${reason}"}


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted: `path` follows the receiver's url; `confirm` is where a 409 is asked back, "" where it is a failure."""

    id: str
    body: bytes
    content_type: str = CLOUD_EVENT
    path: str = ""
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    confirm: str = ""


def compose(receiver: Receiver, events: Sequence[tuple[Facts, bytes]], at_s: float) -> Message:
    """The message for these events, one of them where the receiver does not group; `at_s` is now."""
    return _COMPOSERS[receiver.kind](receiver, events, at_s)


def _webhook(receiver: Receiver, events: Sequence[tuple[Facts, bytes]], at_s: float) -> Message:
    ((facts, body),) = events
    if receiver.template is None:
        return Message(facts.id, body, receiver.content_type or CLOUD_EVENT)
    content_type = receiver.content_type or JSON
    text = fill(receiver.template, _event(body), as_json="json" in content_type)
    return Message(facts.id, text.encode(), content_type)


def _alertmanager(receiver: Receiver, events: Sequence[tuple[Facts, bytes]], at_s: float) -> Message:
    alerts = [_alert(receiver, facts, _event(body), at_s) for facts, body in events]
    return Message(events[0][0].id, msgspec.json.encode(alerts), JSON, "/api/v2/alerts")


def _alert(receiver: Receiver, facts: Facts, event: dict[str, Any], at_s: float) -> dict[str, Any]:
    """Labels name the alert, so opening and end have the same ones. Without an end Alertmanager would invent one (its
    `resolve_timeout`), so each message says until when it holds.
    """
    data = event.get("data", {})
    labels = {
        "alertname": ALERTNAME,
        "severity": "warning",
        **receiver.labels,
        "model": facts.model,
        "version": facts.version,
        "incident": facts.incident,
    }
    holds = datetime.fromtimestamp(at_s + MISSED_REPEATS * receiver.repeat_s, UTC).isoformat(timespec="milliseconds")
    return {
        "labels": labels,
        "annotations": {
            "summary": facts.reason,
            "feature": str(data.get("feature", "")),
            "digest": facts.digest,
            "replay": str(data.get("replay", "")),
        },
        "startsAt": data.get("began") or facts.time,
        "endsAt": data.get("ended") if facts.ended else holds,
    }


def _airflow(receiver: Receiver, events: Sequence[tuple[Facts, bytes]], at_s: float) -> Message:
    """The run's id is the event's, so a second one is a 409. Airflow answers that too where another run of the DAG has the same
    logical date, so none is given (v1 takes now, v2 wants to hear that there is none), and a 409 is asked back.
    """
    ((facts, event),) = events
    runs = f"/api/{receiver.api}/dags/{receiver.dag}/dagRuns"
    body: dict[str, Any] = {"dag_run_id": facts.id, "conf": {"event": _event(event)}}
    if receiver.api == "v2":
        body["logical_date"] = None
    return Message(facts.id, msgspec.json.encode(body), JSON, runs, confirm=f"{runs}/{facts.id}")


def _github(receiver: Receiver, events: Sequence[tuple[Facts, bytes]], at_s: float) -> Message:
    """GitHub knows no id of ours: an answer that is lost starts a second run, which the workflow tells by its `event_id`."""
    ((facts, body),) = events
    inputs, event = receiver.inputs or GITHUB_INPUTS, _event(body)
    filled = {name: fill(text, event)[:INPUT_CHARS_MAX] for name, text in inputs.items()}
    path = f"/repos/{receiver.repository}/actions/workflows/{receiver.workflow}/dispatches"
    return Message(
        facts.id,
        msgspec.json.encode({"ref": receiver.ref, "inputs": filled}),
        JSON,
        path,
        headers={"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"},
    )


def _slack(receiver: Receiver, events: Sequence[tuple[Facts, bytes]], at_s: float) -> Message:
    first = events[0][0]
    head = _headline([facts for facts, _ in events])
    shown = [_section(_mrkdwn(facts)) for facts, _ in events[:SLACK_INCIDENTS_MAX]]
    if len(events) > SLACK_INCIDENTS_MAX:
        shown.append(_section(f"and {len(events) - SLACK_INCIDENTS_MAX} more: `plumbline monitor events`"))
    body = {"text": head, "blocks": [_section(f"*{head}*"), *shown]}
    return Message(first.id, msgspec.json.encode(body), JSON)


def _headline(events: list[Facts]) -> str:
    first = events[0]
    if len(events) > 1:
        return _escaped(f"{first.model}: {len(events)} incidents")
    word = "incident is over" if first.ended else "retraining requested"
    return _escaped(f"{first.model}:{first.version}: {word}")


def _mrkdwn(facts: Facts) -> str:
    tail = f"\n`{_escaped(facts.id)}`"
    return _escaped(facts.reason)[: SLACK_SECTION_CHARS_MAX - len(tail)] + tail


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _escaped(text: str) -> str:
    """`<!channel>` would wake everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _event(body: bytes) -> dict[str, Any]:
    return msgspec.json.decode(body, type=dict[str, Any])


Composer = Callable[[Receiver, Sequence[tuple[Facts, bytes]], float], Message]
_COMPOSERS: dict[Kind, Composer] = {
    Kind.WEBHOOK: _webhook,
    Kind.ALERTMANAGER: _alertmanager,
    Kind.AIRFLOW: _airflow,
    Kind.GITHUB: _github,
    Kind.SLACK: _slack,
}
