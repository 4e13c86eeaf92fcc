"""A run as two pictures, one of what callers saw and one of what the service said, as SVG to be put into a page.

Needs the extra `load`. Colours are those of Okabe and Ito, which people who see fewer of them can tell apart.
"""

import math
from collections.abc import Callable, Sequence
from io import StringIO
from itertools import pairwise
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from loadtests.load.outcome import Mark, Told
from loadtests.load.scraped import Look, Page
from loadtests.load.seen import Outcome

INK, GREY, LINE = "#1f2933", "#66727f", "#dfe4ea"
OUTCOME_COLOURS = {
    Outcome.ANSWERED: "#0072B2",
    Outcome.REJECTED: "#E69F00",
    Outcome.SHED: "#CC79A7",
    Outcome.FAILED: "#D55E00",
    Outcome.UNANSWERED: "#000000",
}
QUANTILES = (("p99", "#D55E00", 1.8), ("p95", "#E69F00", 1.4), ("p50", "#0072B2", 1.4))
SERIES_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SERIES_MAX = len(SERIES_COLOURS)
FAR_OFF = 30.0  # an objective so many times above everything seen would only press it together
WIDTH = 9.6  # inches; the page scales it
PANEL = 1.75
STYLE = {
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and copied
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
}

Pairs = Sequence[tuple[float, float]]


def callers(told: Told) -> str:
    """Users, requests a second by outcome, latency."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": "callers"}):
        figure, panels = _panels(told, 3)
        _users(panels[0], told.looks)
        _requests(panels[1], told)
        _latency(panels[2], told)
        return _svg(figure)


def service(told: Told) -> str | None:
    """What each look found since the one before; None where there was nothing to see."""
    steps = steps_of(told.looks)
    if not steps:
        return None
    memory = [(look.at_s, look.rss_bytes / 2**20) for look in told.looks if look.rss_bytes is not None]
    with mpl.rc_context({**STYLE, "svg.hashsalt": "service"}):
        figure, panels = _panels(told, 4 if memory else 3)
        _versions(panels[0], steps)
        _runtime(panels[1], steps)
        _batches(panels[2], steps)
        if memory:
            _lines(panels[3], [("all processes of the service", memory)], "MiB")
            panels[3].set_ylim(0, 1.2 * max(mib for _, mib in memory))
            panels[3].set_title("Memory", loc="left", fontsize=9, fontweight="bold")
        return _svg(figure)


def steps_of(looks: Sequence[Look]) -> list[tuple[float, float, Page]]:
    """Moment, length in seconds, and what was counted between two looks that both saw a page."""
    saw = [(look.at_s, look.page) for look in looks if look.page is not None]
    return [
        ((at_s + before_s) / 2, at_s - before_s, page.since(before))
        for (before_s, before), (at_s, page) in pairwise(saw)
        if at_s > before_s
    ]


def _panels(told: Told, n: int) -> tuple[Figure, Any]:
    figure = Figure(figsize=(WIDTH, PANEL * n + 0.35), layout="constrained")
    panels = figure.subplots(n, 1, sharex=True)
    panels[-1].set_xlabel("seconds since the beginning")
    panels[-1].set_xlim(0, max(told.seconds, 1.0))
    for axes in panels:
        _marked(axes, told.marks)
    _worded(panels[0], told.marks, told.seconds)
    return figure, panels


def _marked(axes: Any, marks: Sequence[Mark]) -> None:
    for mark in marks:
        axes.axvline(mark.at_s, color=GREY, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)


def _worded(axes: Any, marks: Sequence[Mark], seconds: float) -> None:
    """Numbers; the sentences stand below the picture."""
    for number, mark in enumerate(marks, 1):
        if 0 <= mark.at_s <= seconds:
            axes.annotate(
                str(number),
                (mark.at_s, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, -3),
                textcoords="offset points",
                va="top",
                fontsize=8,
                fontweight="bold",
                color=GREY,
            )


def _users(axes: Any, looks: Sequence[Look]) -> None:
    axes.step([look.at_s for look in looks], [look.users for look in looks], where="post", color=INK, linewidth=1.4)
    axes.set_ylabel("users")
    axes.set_ylim(0, 1.3 * max((look.users for look in looks), default=0) + 0.1)  # room for the numbers of marks
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_title("Users", loc="left", fontsize=9, fontweight="bold")


def _requests(axes: Any, told: Told) -> None:
    seconds = told.seen.seconds(told.began_s)
    there = [one for one in OUTCOME_COLOURS if any(second.outcomes.get(one) for second in seconds)]
    at_s = [second.at_s + 0.5 for second in seconds]
    parts = [[second.outcomes.get(one, 0) for second in seconds] for one in there]
    if parts:
        colours = [OUTCOME_COLOURS[one] for one in there]
        axes.stackplot(at_s, *parts, colors=colours, labels=[str(one) for one in there], alpha=0.85, linewidth=0)
        _legend(axes)
    axes.set_ylabel("requests/s")
    axes.set_ylim(bottom=0)
    axes.set_title("Predictions, as their callers saw them", loc="left", fontsize=9, fontweight="bold")


def _latency(axes: Any, told: Told) -> None:
    seconds = told.seen.seconds(told.began_s)
    for name, colour, width in QUANTILES:
        values = [getattr(second, f"{name}_ms") for second in seconds]
        shown = [math.nan if value is None else value for value in values]
        axes.plot([s.at_s + 0.5 for s in seconds], shown, color=colour, linewidth=width, label=name)
    slowest = max((second.p99_ms for second in seconds if second.p99_ms is not None), default=told.objective.p99_ms)
    if told.objective.p99_ms < slowest * FAR_OFF:
        axes.axhline(told.objective.p99_ms, color=INK, linewidth=1, linestyle="--", label="objective of p99")
    _logarithmic(axes)
    axes.set_ylabel("ms")
    axes.set_title("Latency of what went right, in each second", loc="left", fontsize=9, fontweight="bold")
    _legend(axes)


def _versions(axes: Any, steps: Sequence[tuple[float, float, Page]]) -> None:
    every = steps[0][2].by("plumbline_requests_total", "model", "version", "arm")
    for _, _, page in steps[1:]:
        every += page.by("plumbline_requests_total", "model", "version", "arm")
    series = []
    for key, _ in every.most_common(SERIES_MAX):
        name = " ".join(part for part in key if part) or "no version"
        rates = [(at, page.by("plumbline_requests_total", "model", "version", "arm")[key] / s) for at, s, page in steps]
        series.append((name, rates))
    _lines(axes, series, "requests/s")
    axes.set_ylim(bottom=0)
    axes.set_title("Requests by version", loc="left", fontsize=9, fontweight="bold")


def _runtime(axes: Any, steps: Sequence[tuple[float, float, Page]]) -> None:
    def of(family: str, share: float) -> Pairs:
        return _there(steps, lambda page: page.quantile(f"plumbline_request_{family}_seconds", share), 1000)

    series = [
        ("whole request p99", of("duration", 0.99)),
        ("queue p99", of("queue", 0.99)),
        ("compute p99", of("compute", 0.99)),
        ("compute p50", of("compute", 0.5)),
    ]
    _lines(axes, [one for one in series if one[1]], "ms")
    if any(pairs for _, pairs in series):
        _logarithmic(axes)
    axes.set_title("Where the time goes inside", loc="left", fontsize=9, fontweight="bold")


def _batches(axes: Any, steps: Sequence[tuple[float, float, Page]]) -> None:
    mean = _there(steps, lambda page: page.mean("plumbline_batch_rows"))
    most = _there(steps, lambda page: page.quantile("plumbline_batch_rows", 0.99))
    _lines(axes, [("mean", mean), ("p99", most)], "rows")
    axes.set_ylim(bottom=0)
    axes.set_title("Rows a run", loc="left", fontsize=9, fontweight="bold")


def _there(
    steps: Sequence[tuple[float, float, Page]], value: Callable[[Page], float | None], times: float = 1.0
) -> Pairs:
    """Where there is a value."""
    return [(at_s, found * times) for at_s, _, page in steps if (found := value(page)) is not None]


def _lines(axes: Any, series: Sequence[tuple[str, Pairs]], unit: str) -> None:
    for colour, (name, pairs) in zip(SERIES_COLOURS, series, strict=False):
        mark = "o" if len(pairs) == 1 else None
        axes.plot([at for at, _ in pairs], [n for _, n in pairs], color=colour, linewidth=1.4, label=name, marker=mark)
    axes.set_ylabel(unit)
    if series:
        _legend(axes)


def _logarithmic(axes: Any) -> None:
    """In plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1,), numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _legend(axes: Any) -> None:
    """Beside the title, where it hides nothing."""
    place = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.97), "borderaxespad": 0.2}
    axes.legend(**place, ncols=SERIES_MAX, frameon=False, fontsize=8, handlelength=1.4, columnspacing=1.2)


def _svg(figure: Figure) -> str:
    """The element alone: a page has its own declaration."""
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
