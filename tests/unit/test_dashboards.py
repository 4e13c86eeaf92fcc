"""The dashboards are what their code makes, name what this release measures, and lead to the runbooks."""

import re
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest
import yaml

from deploy.grafana.__main__ import FOLDER, files
from tests.dashboards import asked, panels
from tests.processes import ROOT
from tests.reference import page

DEPLOY = ROOT / "deploy"
COLUMNS = 24
VARIABLES = {"home", "model", "version", "__rate_interval"}
RULES = [
    rule
    for name in ("recording.yml", "alerts.yml")
    for group in yaml.safe_load((DEPLOY / "prometheus" / name).read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"] for rule in RULES if "alert" in rule}
PANELS = list(panels())


def test_the_committed_dashboards_are_what_the_code_makes() -> None:
    assert {path: path.read_text() for path in FOLDER.iterdir()} == files(), "run `python -m deploy.grafana`"


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=[f"{board} {panel['title']}" for board, panel in PANELS])
def test_a_panel_says_what_it_shows_in_which_unit_and_names_its_lines(board: str, panel: Mapping[str, Any]) -> None:
    assert panel["title"] and panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        assert target["legendFormat"] and 'home=~"$home"' in target["expr"]
        assert set(re.findall(r"\$(\w+)", target["expr"])) <= VARIABLES


def test_every_alert_is_linked_to_from_a_panel_and_no_other() -> None:
    linked = {link["url"] for _, panel in PANELS for link in panel.get("links", ())}
    assert linked == {f"${{documents}}/docs/runbooks/{alert}.md" for alert in ALERTS}


def test_every_series_that_a_panel_asks_for_is_one_that_is_measured_or_recorded() -> None:
    told = re.findall(r"^\| `(plumbline_\w+)` \| (counter|gauge|histogram) \|", page(), re.MULTILINE)
    ends = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    known = {name + end for name, kind in told for end in ends[kind]} | {rule.get("record") for rule in RULES}
    named = {name for one in asked() for name in re.findall(r"\bplumbline[_:][\w:]+", one.expr)}
    assert named
    assert named <= known, named - known


def test_no_panel_stands_on_another_and_none_beside_the_page() -> None:
    for path in FOLDER.iterdir():
        places = [panel["gridPos"] for board, panel in PANELS if board == path.stem]
        assert all(place["x"] + place["w"] <= COLUMNS for place in places)
        for one, other in combinations(places, 2):
            beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
            assert beside or above, (path.stem, one, other)


def test_grafana_is_told_of_the_prometheus_and_the_folder_that_compose_gives_it() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    (listens,) = [word for word in services["prometheus"]["command"] if "listen-address" in word]
    (source,) = _provisioned("datasources/prometheus.yaml")["datasources"]
    assert source["url"] == f"http://{listens.partition('=')[2]}"
    (provider,) = _provisioned("dashboards/plumbline.yaml")["providers"]
    folder = provider["options"]["path"]
    assert f"./grafana/dashboards:{folder}:ro" in services["grafana"]["volumes"]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.removeprefix(f"{folder}/") in {path.name for path in FOLDER.iterdir()}


def _provisioned(name: str) -> Any:
    return yaml.safe_load((DEPLOY / "grafana" / "provisioning" / name).read_text())
