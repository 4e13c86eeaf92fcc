"""Whoever is woken finds a page: every alert has a runbook, every runbook an alert, and what it says to type can be typed."""

import re
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from plumbline import main
from tests.documents import fenced, inline, path_of
from tests.processes import ROOT

RUNBOOKS = ROOT / "docs" / "runbooks"
HEADINGS = ["## What it means", "## How to see it", "## What to do"]
SEVERITIES = {"critical": "pager", "warning": "tickets", "info": "notes"}
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTMANAGER = yaml.safe_load((ROOT / "deploy/alertmanager/alertmanager.yml").read_text())
NAMES = sorted(alert["alert"] for alert in ALERTS)
OF_THE_MONITOR = "PlumblineRetrainRequested"  # the monitor sends it itself, docs/alerts.md


PAGES = {page.stem: page.read_text() for page in sorted(RUNBOOKS.glob("*.md"))}
PATHS = sorted({tuple(path_of(w)[0]) for page in PAGES.values() for w in (*fenced(page), *inline(page))})


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert sorted(PAGES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_says_what_it_means_how_to_see_it_and_what_to_do(name: str) -> None:
    page = PAGES[name]
    assert page.splitlines()[0] == f"# {name}"
    assert re.findall(r"^## .*$", page, re.MULTILINE) == HEADINGS
    for part in re.split(r"^## .*$", page, flags=re.MULTILINE)[1:]:
        assert part.strip()
    assert "```promql\n" in page
    for named in re.findall(r"\bPlumbline[A-Z]\w+", page):
        assert named in NAMES


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_how_urgent_it_is_what_was_seen_and_where_to_read_on(alert: dict[str, Any]) -> None:
    said = alert["annotations"]
    assert set(said) == {"summary", "description", "runbook_url"}
    assert alert["labels"]["severity"] in SEVERITIES
    assert "for" in alert
    assert "{{" in said["description"]
    assert (ROOT / said["runbook_url"]).samefile(RUNBOOKS / f"{alert['alert']}.md")


def test_every_severity_has_its_receiver_and_every_inhibition_names_alerts() -> None:
    routes = {route["matchers"][0]: route["receiver"] for route in ALERTMANAGER["route"]["routes"]}
    assert routes == {f'severity="{severity}"': receiver for severity, receiver in SEVERITIES.items()}
    known = {*NAMES, OF_THE_MONITOR}
    for rule in ALERTMANAGER["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            pattern = re.fullmatch(r'alertname=~?"(.*)"', matcher)
            assert pattern, matcher
            for one in re.split(r"\|(?![^(]*\))", pattern[1]):
                assert any(re.fullmatch(one, name) for name in known), one


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_a_command_of_a_runbook_explains_itself(path: tuple[str, ...]) -> None:
    assert CliRunner().invoke(main, [*path, "--help"]).exit_code == 0
