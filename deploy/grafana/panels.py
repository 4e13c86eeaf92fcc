"""What does a panel look like: a number, lines over time, states over time, or a table, the same on every dashboard.

Laws
- A panel has a unit, a description and a name for each of its lines; what it warns of links to the runbook.
- Every expression is bound to the variables of its dashboard: `HOME`, `MODEL` or `VERSION` stands in each selector.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLink,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    FieldColorModeId,
    Panel,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

HOME = 'home=~"$home"'
MODEL = f'{HOME}, model=~"$model"'
VERSION = f'{MODEL}, version=~"$version"'

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
GOOD, ODD, BAD = "green", "orange", "red"
WIDE, HALF, THIRD, SMALL = 24, 12, 8, 4
LINES_HEIGHT, NUMBER_HEIGHT = 8, 4

Panels = Builder[Panel]
_Panel = TypeVar("_Panel", stat.Panel, timeseries.Panel, statetimeline.Panel, table.Panel)


@dataclass(frozen=True)
class Says:
    """What stands around a panel: title, description, unit, and the alerts whose runbooks it links to."""

    title: str
    text: str
    unit: str
    alerts: tuple[str, ...] = ()

    def links(self) -> list[Builder[DashboardLink]]:
        return [_runbook(alert) for alert in self.alerts]


@dataclass(frozen=True)
class Line:
    """An expression, and what its series are called: text with `{{label}}`."""

    expr: str
    name: str


@dataclass(frozen=True)
class Limit:
    """From this value on, the colour."""

    value: float
    colour: str


def _said(made: _Panel, says: Says) -> _Panel:
    return made.title(says.title).description(says.text).unit(says.unit).links(says.links()).datasource(SOURCE)


def number(
    says: Says, line: Line, limits: Iterable[Limit] = (), *, words: Mapping[str, ValueMappingResult] | None = None
) -> Panels:
    """The newest value, large."""
    made = (
        _said(stat.Panel(), says)
        .with_target(_query(line, "A"))
        .thresholds(_thresholds(limits))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(BigValueGraphMode.AREA)
        .color_mode(BigValueColorMode.VALUE)
        .no_value("no data")
        .height(NUMBER_HEIGHT)
        .span(SMALL)
    )
    return made.mappings(_mappings(words)) if words else made


def lines(
    says: Says, shown: Iterable[Line], limits: Iterable[Limit] = (), *, width: int = HALF, signed: bool = False
) -> Panels:
    """Values over time, their limits as dashed lines; from 0 up where they are not `signed`."""
    shown, limits = tuple(shown), tuple(limits)
    made = (
        _said(timeseries.Panel(), says)
        .targets([_query(line, ref) for ref, line in zip("ABCDEFGH", shown, strict=False)])
        .data_links(_console(shown))
        .fill_opacity(10)
        .show_points(VisibilityMode.NEVER)
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .height(LINES_HEIGHT)
        .span(width)
    )
    if limits:
        style = common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.DASHED)
        made = made.thresholds(_thresholds(limits)).thresholds_style(style)
    return made if signed else made.min(0)


def states(says: Says, shown: Iterable[Line], words: Mapping[str, ValueMappingResult], *, width: int = HALF) -> Panels:
    """A band a series, coloured by what its value means."""
    return (
        _said(statetimeline.Panel(), says)
        .targets([_query(line, ref) for ref, line in zip("ABCDEFGH", shown, strict=False)])
        .mappings(_mappings(words))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .show_value(VisibilityMode.NEVER)
        .height(LINES_HEIGHT)
        .span(width)
    )


def rows(says: Says, line: Line, limits: Iterable[Limit] = (), *, width: int = HALF) -> Panels:
    """The newest value of each series as a row: its labels, then the value under the line's name."""
    dropped = dict.fromkeys(("Time", "__name__", "job", "instance"), True)
    tidy = {"excludeByName": dropped, "renameByName": {"Value": line.name}}
    return (
        _said(table.Panel(), says)
        .with_target(_query(line, "A").instant().format(PromQueryFormat.TABLE))
        .with_transformation(DataTransformerConfig("organize", options=tidy))
        .thresholds(_thresholds(limits))
        .sort_by([common.TableSortByFieldState().display_name(line.name).desc(True)])
        .no_value("none")
        .height(LINES_HEIGHT)
        .span(width)
    )


def word(text: str, colour: str) -> ValueMappingResult:
    """What a value is called, and its colour."""
    return ValueMappingResult(text=text, color=colour)


def _query(line: Line, ref: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(line.expr).legend_format(line.name).ref_id(ref).datasource(SOURCE)


def _runbook(alert: str) -> dashboard.DashboardLink:
    address = f"${{documents}}/docs/runbooks/{alert}.md"
    return dashboard.DashboardLink(alert).type(DashboardLinkType.LINK).url(address).target_blank(True)


def _console(shown: Iterable[Line]) -> list[Builder[DashboardLink]]:
    """A click on a line opens the console at its version, where each line has one."""
    if not all("{{model}}:{{version}}" in line.name for line in shown):
        return []
    address = "${console}/#${__field.labels.model}/${__field.labels.version}"
    return [dashboard.DashboardLink("Console").type(DashboardLinkType.LINK).url(address).target_blank(True)]


def _thresholds(limits: Iterable[Limit]) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value=None, color=GOOD), *(Threshold(value=one.value, color=one.colour) for one in limits)]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _mappings(words: Mapping[str, ValueMappingResult]) -> list[ValueMapping]:
    return [ValueMap(options=dict(words))]


def _legend() -> common.VizLegendOptions:
    shown = common.VizLegendOptions().display_mode(LegendDisplayMode.TABLE).placement(LegendPlacement.BOTTOM)
    return shown.show_legend(True).calcs(["lastNotNull", "max"])
