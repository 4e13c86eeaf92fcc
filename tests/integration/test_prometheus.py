"""A real Prometheus takes the shipped rules, sees both exporters, and what it raises wakes somebody by a real Alertmanager."""

import re
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.test_alertmanager import pager
from tests.observing import (
    ALERTMANAGER,
    DEADLINE_S,
    RULES,
    Target,
    alertmanager,
    prometheus,
    query,
    rules_of,
    rules_seen,
    runs,
)
from tests.processes import home, served, wait_until
from tests.reference import page
from tests.requests import payments_body
from tests.unit.monitoring.process import monitor

pytestmark = pytest.mark.integration


def test_the_shipped_files_are_what_prometheus_and_alertmanager_take() -> None:
    runs("promtool", "check", "config", RULES / "prometheus.yml")
    runs("amtool", "check-config", ALERTMANAGER)


def test_every_alert_fires_where_it_must_and_is_quiet_beside_it() -> None:
    runs("promtool", "test", "rules", RULES / "rules_test.yml")
    tested = yaml.safe_load((RULES / "rules_test.yml").read_text())["tests"]
    cases = [(case["alertname"], bool(case["exp_alerts"])) for test in tested for case in test["alert_rule_test"]]
    assert set(cases) == {(alert["alert"], fires) for alert in rules_of("alerts.yml") for fires in (True, False)}


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "pager"), ("warning", "tickets"), ("info", "notes")])
def test_an_alert_goes_where_its_severity_says(severity: str, receiver: str) -> None:
    said = runs("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", f"severity={severity}")
    assert said.split() == [receiver]


def test_prometheus_sees_all_that_the_rules_name_and_a_service_that_is_down_wakes_somebody(tmp_path: Path) -> None:
    place, up = home(tmp_path), ExitStack()
    with pager() as (url, told), alertmanager(tmp_path, url) as alerts, monitor(place, None) as watching, up:
        _, service = up.enter_context(served(place))
        watched = f"http://127.0.0.1:{watching.port}"
        _ask(service)
        _every_name_is_exposed(_families(f"{service}/metrics") | _families(f"{watched}/metrics"))
        targets = [Target("plumbline-service", "default", service), Target("plumbline-monitor", "default", watched)]
        with prometheus(tmp_path / "prometheus", alerts, targets, at_once) as at:
            _every_recording_rule_returns_data(at, service)
            up.close()
            fired = wait_until(lambda: _said(told, "PlumblineServiceDown"), DEADLINE_S, "somebody was woken")
            assert {rule["health"] for rule in rules_seen(at)} == {"ok"}
    assert fired["receiver"] == "pager"
    (alert,) = fired["alerts"]
    assert alert["status"] == "firing"
    assert alert["labels"]["home"] == "default"
    assert service.removeprefix("http://") in alert["annotations"]["description"]
    assert alert["annotations"]["runbook_url"] == "docs/runbooks/PlumblineServiceDown.md"


def test_a_cause_keeps_its_symptoms_quiet_within_its_home(tmp_path: Path) -> None:
    symptoms = {
        "PlumblineErrorBudgetBurnFast": {"PlumblineServiceDown"},
        "PlumblineMonitorBehind": {"PlumblineServiceDown", "PlumblineMonitorStalled"},
        "PlumblineDrift": {"PlumblineMonitorStalled", "PlumblineMonitorBehind"},
        "PlumblineSkew": {"PlumblineMonitorStalled", "PlumblineMonitorBehind"},
        "PlumblineVersionEjected": set[str](),
    }
    causes = ["PlumblineServiceDown", "PlumblineMonitorStalled"]
    raised = [(name, "default") for name in (*causes, *symptoms)] + [(name, "other") for name in symptoms]
    with pager() as (url, _), alertmanager(tmp_path, url) as place:
        httpx.post(f"{place}/api/v2/alerts", json=[_alert(*one) for one in raised], trust_env=False).raise_for_status()
        wait_until(lambda: len(_quiet_by(place)) == len(raised), DEADLINE_S, "Alertmanager has them all")
        found = _quiet_by(place)
    for name, by in symptoms.items():  # Alertmanager names one cause, whichever it comes upon first
        assert bool(found[name, "default"]) == bool(by)
        assert found[name, "default"] <= by
    assert all(found[cause, "default"] == set() for cause in causes)
    assert found["PlumblineDrift", "other"] == {"PlumblineMonitorBehind"}  # nothing of the first home
    assert found["PlumblineErrorBudgetBurnFast", "other"] == set()


def at_once(rules: str) -> str:
    """The shipped rules, whose `for` alone is shortened: promtool's tests hold that."""
    return re.sub(r"for: \w+", "for: 1s", rules)


def _ask(service: str) -> None:
    body = payments_body(at_s=time.time())
    for _ in range(5):
        assert httpx.post(f"{service}/v1/models/payments:predict", content=body, trust_env=False).status_code == 200


def _families(url: str) -> dict[str, str]:
    """Name to kind of what an exposition declares."""
    text = httpx.get(url, trust_env=False).text
    return {family.name: family.type for family in text_string_to_metric_families(text)}


def _every_name_is_exposed(seen: dict[str, str]) -> None:
    """A counter with labels is declared by the service with its first event: those the code declares are known as well."""
    told = re.findall(r"^\| `(plumbline_\w+)` \| (counter|gauge|histogram) \| (.*?) \|", page(), re.MULTILINE)
    known = dict(seen)
    known |= {name: kind for name, kind, labels in told if kind == "counter" and labels}
    text = "".join((RULES / name).read_text() for name in ("recording.yml", "alerts.yml"))
    named = {name for name in re.findall(r"\bplumbline_\w+", text) if not name.startswith("plumbline_requests:")}
    assert named
    exposed = set()
    for name, kind in known.items():
        match kind:
            case "counter":
                exposed.add(f"{name}_total")
            case "histogram":
                exposed |= {f"{name}_bucket", f"{name}_count", f"{name}_sum"}
            case _:
                exposed.add(name)
    assert named <= exposed, named - exposed
    live = named - {f"{name}_total" for name, _, labels in told if labels and name not in seen}
    assert len(live) > 20  # nearly all are there without an event


def _every_recording_rule_returns_data(at: str, service: str) -> None:
    names = [rule["record"] for rule in rules_of("recording.yml")]

    def missing() -> list[str]:
        _ask(service)
        return [name for name in names if not query(at, name)]

    wait_until(lambda: not missing(), DEADLINE_S, "every recording rule has data")
    assert {one["metric"].get("model") for one in query(at, "plumbline:request_errors:ratio_rate5m")} == {"payments"}


def _said(told: list[dict[str, Any]], alert: str) -> dict[str, Any] | None:
    return next((one for one in told if one["groupLabels"]["alertname"] == alert), None)


def _alert(name: str, of: str) -> dict[str, Any]:
    return {"labels": {"alertname": name, "home": of, "model": "payments", "version": "1", "severity": "warning"}}


def _quiet_by(place: str) -> dict[tuple[str, str], set[str]]:
    """Which alerts hold each alert back, by name and home."""
    alerts = httpx.get(f"{place}/api/v2/alerts", trust_env=False).json()
    names = {one["fingerprint"]: one["labels"]["alertname"] for one in alerts}
    return {
        (one["labels"]["alertname"], one["labels"]["home"]): {names[by] for by in one["status"]["inhibitedBy"]}
        for one in alerts
    }
