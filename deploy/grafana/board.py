"""What do all dashboards have in common: variables, links to each other and to the console, and where panels stand."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.panels import SOURCE, Panels

TAG = "plumbline"
CONSOLE = "http://127.0.0.1:3001"  # the monitor's page
DOCUMENTS = "https://wiki.example/plumbline"  # a copy of the repository's pages: put yours here
# What each variable asks of Prometheus; those that stand later are narrowed by those before.
ASKED = {
    "home": 'label_values(up{job="plumbline-service"}, home)',
    "model": 'label_values(plumbline_monitor_requests_per_second{home=~"$home"}, model)',
    "version": 'label_values(plumbline_monitor_requests_per_second{home=~"$home", model=~"$model"}, version)',
}
ALL = {"model": ".*", "version": ".*"}  # also requests that reach no model, whose label is empty


@dataclass(frozen=True)
class Row:
    """Panels below one heading."""

    title: str
    panels: Sequence[Panels]


def board(name: str, text: str, variables: Sequence[str], rows: Sequence[Row]) -> Dashboard:
    """A dashboard `plumbline-<name>`; its panels stand in the order given, 24 columns a line."""
    made = (
        dashboard.Dashboard(f"Plumbline: {name}")
        .uid(f"plumbline-{name}")
        .description(text)
        .tags([TAG])
        .timezone("utc")
        .time("now-6h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .variables([_source(), *(_asked(variable) for variable in variables), *_addresses()])
        .links([_others(), _console()])
    )
    for row in rows:
        made = made.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            made = made.with_panel(panel)
    return _numbered(made.build())


def _numbered(made: Dashboard) -> Dashboard:
    """Each panel with an id, so that links to one go on working."""
    for number, panel in enumerate(made.panels or [], start=1):
        panel.id_val = number
    return made


def _source() -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")


def _asked(variable: str) -> dashboard.QueryVariable:
    made = (
        dashboard.QueryVariable(variable)
        .label(variable)
        .datasource(SOURCE)
        .query(ASKED[variable])
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )
    if variable not in ALL:
        return made
    everything = VariableOption(selected=True, text="All", value="$__all")
    return made.multi(True).include_all(True).all_value(ALL[variable]).current(everything)


def _addresses() -> list[dashboard.TextBoxVariable]:
    return [
        dashboard.TextBoxVariable("console").label("console").default_value(CONSOLE),
        dashboard.TextBoxVariable("documents").label("documents").default_value(DOCUMENTS),
    ]


def _others() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("Plumbline").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.as_dropdown(True).include_vars(True).keep_time(True)


def _console() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("Console").type(DashboardLinkType.LINK).icon("external link")
    return link.url("${console}/").target_blank(True)
