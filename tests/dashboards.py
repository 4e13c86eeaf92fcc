"""What do the dashboards of deploy/grafana ask of Prometheus: every panel, and every expression with its variables put in."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from deploy.grafana.__main__ import files


class Asked(NamedTuple):
    """One expression of one panel."""

    dashboard: str
    panel: str
    expr: str
    legend: str

    def __str__(self) -> str:
        return f"{self.dashboard}, {self.panel}: {self.expr}"


def panels() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every panel that draws something, with its dashboard's name; of the committed files."""
    for path in files():
        made = json.loads(path.read_text())
        for panel in made["panels"]:
            if panel["type"] != "row":
                yield path.stem, panel


def asked(**variables: str) -> list[Asked]:
    """Every expression of every panel. An unknown variable stays, and Prometheus refuses it."""
    found = []
    for name, panel in panels():
        for target in panel["targets"]:
            expr = target["expr"]
            for variable, value in variables.items():
                expr = re.sub(rf"\${variable}\b", value, expr)
            found.append(Asked(name, panel["title"], expr, target["legendFormat"]))
    return found
