"""A real Prometheus takes the shipped rules, sees both exporters, and what it raises wakes somebody by a real Alertmanager."""

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.test_alertmanager import pager
from tests.processes import ROOT, answers, free_port, home, served, wait_until
from tests.reference import page
from tests.requests import payments_body
from tests.unit.monitoring.process import monitor

pytestmark = pytest.mark.integration
DEADLINE_S = 120.0
RULES = ROOT / "deploy" / "prometheus"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
SHIPPED_RECEIVERS = "http://127.0.0.1:9099/"
CONFIGURATION = """
global: {{scrape_interval: 300ms, evaluation_interval: 300ms}}
rule_files: [recording.yml, alerts.yml]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]
scrape_configs:
  - job_name: plumbline-service
    static_configs: [{{targets: ["{service}"], labels: {{home: default}}}}]
  - job_name: plumbline-monitor
    static_configs: [{{targets: ["{monitor}"], labels: {{home: default}}}}]
"""


def test_the_shipped_files_are_what_prometheus_and_alertmanager_take() -> None:
    _runs("promtool", "check", "config", RULES / "prometheus.yml")
    _runs("amtool", "check-config", ALERTMANAGER)


def test_every_alert_fires_where_it_must_and_is_quiet_beside_it() -> None:
    _runs("promtool", "test", "rules", RULES / "rules_test.yml")
    tested = yaml.safe_load((RULES / "rules_test.yml").read_text())["tests"]
    cases = [(case["alertname"], bool(case["exp_alerts"])) for test in tested for case in test["alert_rule_test"]]
    assert set(cases) == {(alert["alert"], fires) for alert in _rules("alerts.yml") for fires in (True, False)}


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "pager"), ("warning", "tickets"), ("info", "notes")])
def test_an_alert_goes_where_its_severity_says(severity: str, receiver: str) -> None:
    said = _runs("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", f"severity={severity}")
    assert said.split() == [receiver]


def test_prometheus_sees_all_that_the_rules_name_and_a_service_that_is_down_wakes_somebody(tmp_path: Path) -> None:
    place, up = home(tmp_path), ExitStack()
    with pager() as (url, told), alertmanager(tmp_path, url) as alerts, monitor(place, None) as watching, up:
        _, service = up.enter_context(served(place))
        watched = f"http://127.0.0.1:{watching.port}"
        _ask(service)
        _every_name_is_exposed(_families(f"{service}/metrics") | _families(f"{watched}/metrics"))
        with prometheus(tmp_path / "prometheus", alertmanager=alerts, service=service, monitor=watched) as at:
            _every_recording_rule_returns_data(at, service)
            up.close()
            fired = wait_until(lambda: _said(told, "PlumblineServiceDown"), DEADLINE_S, "somebody was woken")
            assert {rule["health"] for rule in _evaluated(at)} == {"ok"}
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


def _runs(program: str, *arguments: str | Path) -> str:
    """What it says on stdout; it must be there and end well."""
    found = shutil.which(program)
    assert found, f"{program}: expected the Debian package (.ci/packages installs it)"
    ran = subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def _rules(name: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load((RULES / name).read_text())["groups"] for rule in group["rules"]]


@contextmanager
def _process(program: str, *arguments: str, ready: str, log: Path) -> Iterator[None]:
    found = shutil.which(program)
    assert found, f"{program}: expected the Debian package (.ci/packages installs it)"
    with log.open("wb") as sink:
        process = subprocess.Popen([found, *arguments], stdout=sink, stderr=sink)
    try:
        wait_until(lambda: answers(ready), DEADLINE_S, f"{program} is ready ({log})")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE_S)


@contextmanager
def alertmanager(folder: Path, url: str) -> Iterator[str]:
    """Its url; the shipped configuration, with this receiver and without its waits."""
    shipped = ALERTMANAGER.read_text()
    assert SHIPPED_RECEIVERS in shipped
    quick = re.sub(r"group_(wait|interval): \w+", r"group_\1: 1s", shipped.replace(SHIPPED_RECEIVERS, url))
    configuration, place = folder / "alertmanager.yml", f"127.0.0.1:{free_port()}"
    configuration.write_text(quick)
    with _process(
        "prometheus-alertmanager",
        f"--config.file={configuration}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={place}",
        "--cluster.listen-address=",
        ready=f"http://{place}/-/ready",
        log=folder / "alertmanager.log",
    ):
        yield f"http://{place}"


@contextmanager
def prometheus(folder: Path, **urls: str) -> Iterator[str]:
    """Its url, for as long as the block; the shipped rules, whose `for` alone is shortened: promtool's tests hold that."""
    folder.mkdir()
    targets = {name: url.removeprefix("http://") for name, url in urls.items()}
    (folder / "prometheus.yml").write_text(CONFIGURATION.format(**targets))
    (folder / "recording.yml").write_text((RULES / "recording.yml").read_text())
    (folder / "alerts.yml").write_text(re.sub(r"for: \w+", "for: 1s", (RULES / "alerts.yml").read_text()))
    place = f"127.0.0.1:{free_port()}"
    with _process(
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={place}",
        ready=f"http://{place}/-/ready",
        log=folder / "prometheus.log",
    ):
        yield f"http://{place}"


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
    names = [rule["record"] for rule in _rules("recording.yml")]

    def missing() -> list[str]:
        _ask(service)
        return [name for name in names if not _query(at, name)]

    wait_until(lambda: not missing(), DEADLINE_S, "every recording rule has data")
    assert {one["metric"].get("model") for one in _query(at, "plumbline:request_errors:ratio_rate5m")} == {"payments"}


def _query(at: str, expression: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{at}/api/v1/query", params={"query": expression}, trust_env=False).json()
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def _evaluated(at: str) -> list[dict[str, Any]]:
    groups = httpx.get(f"{at}/api/v1/rules", trust_env=False).json()["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


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
