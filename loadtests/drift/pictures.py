"""The tables as pictures, in colours that people who see fewer of them can tell apart, and with a mark a system as well.

Needs the extra `bench`.
"""

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from loadtests.drift.results import Results, Rides
from loadtests.drift.score import Quiet, Seen
from loadtests.drift.systems import OURS, SYSTEMS

# Okabe and Ito 2008, and marks; ours is the heaviest.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00", "#999999")
MARKS = ("o", "s", "D", "^", "v", "P", "X", "<", ">", "h", "*", "d", "p", "8")
LEFT_OUT = ("always", "never")  # on a scale of delays they say nothing
DPI = 110
DECADES_CLOSE = 1e4  # on a wider scale the numbers between the decades stand on each other


def draw(results: Results, folder: Path) -> dict[str, str]:
    """The files' names by part."""
    mpl.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "unchanged": _unchanged(results.unchanged),
        "incidents": _incidents(results.incidents),
        "rides": _rides(results.rides) if results.rides else None,
        "losses": _losses(results.losses),
    }
    names = {}
    for part, figure in made.items():
        if figure is not None:
            names[part] = f"{part}.png"
            figure.savefig(folder / names[part], dpi=DPI, bbox_inches="tight", metadata={"Software": None})
    return names


def style(system: str) -> dict[str, Any]:
    """Colour and mark of a system, the same in every picture."""
    place = [one.name for one in SYSTEMS].index(system)
    mine = system == OURS.name
    return {
        "color": COLOURS[0] if mine else COLOURS[1 + place % (len(COLOURS) - 1)],
        "marker": MARKS[place % len(MARKS)],
        "markersize": 10 if mine else 7,
        "zorder": 5 if mine else 3,
        "linestyle": "none",
        "label": system,
    }


def _unchanged(unchanged: Mapping[str, Mapping[str, Quiet]]) -> Figure:
    systems = [one.name for one in SYSTEMS if any(one.name in found for found in unchanged.values())][::-1]
    figure = Figure(figsize=(8, 0.38 * len(systems) + 1.6))
    axes = figure.subplots()
    shades = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
    for number, (name, found) in enumerate(unchanged.items()):
        offset = 0.22 * (number - (len(unchanged) - 1) / 2)
        for place, system in enumerate(systems):
            if (one := found.get(system)) is None or isnan(one.pages_a_month):
                continue
            at, value = place - offset, max(one.pages_a_month, 0.05)
            axes.plot([max(one.low, 0.05), max(one.high, 0.05)], [at, at], color=shades[number % 4], linewidth=1.5)
            axes.plot(
                value,
                at,
                "os^D"[number % 4],
                color=shades[number % 4],
                markersize=6,
                label=name.removeprefix("unchanged, "),
            )
    axes.axvline(1, color="#777777", linewidth=1, linestyle="--")
    _logarithmic(axes)
    axes.set_yticks(range(len(systems)), systems)
    axes.set_xlabel("pages a month where nothing changes, with 95 % intervals (0 is drawn at 0.05; dashed: 1)")
    _legend(axes)
    return figure


def _incidents(incidents: Mapping[str, Mapping[str, Seen]]) -> Figure:
    abouts = sorted(incidents, key=lambda about: (about.split()[0], float(about.split()[1])), reverse=True)
    figure = Figure(figsize=(9, 0.36 * len(abouts) + 2))
    axes = figure.subplots()
    for place, about in enumerate(abouts):
        axes.axhline(place, color="#eeeeee", linewidth=0.8, zorder=1)
        for system, one in incidents[about].items():
            if system in LEFT_OUT or isnan(one.rows):
                continue
            partly = one.detected < one.trials
            axes.plot(max(one.rows, 1), place, **style(system), fillstyle="none" if partly else "full")
    _logarithmic(axes)
    axes.set_yticks(range(len(abouts)), abouts)
    axes.set_xlabel("rows from the incident to the alarm, median (hollow: not in every trial)")
    _legend(axes)
    return figure


def _rides(rides: Mapping[str, Mapping[str, Rides]]) -> Figure:
    systems = [one.name for one in SYSTEMS if any(one.name in found for found in rides.values())][::-1]
    figure = Figure(figsize=(10, 0.34 * len(systems) + 1.8))
    for axes, (name, found) in zip(figure.subplots(1, len(rides), sharey=True), rides.items(), strict=True):
        for place, system in enumerate(systems):
            axes.axhline(place, color="#eeeeee", linewidth=0.8, zorder=1)
            if system in found:
                days = [alarm.minute / 1440 for alarm in found[system].pages]
                axes.plot(
                    days, [place] * len(days), "|", color="#D55E00" if "shuffled" in name else "#0072B2", markersize=11
                )
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("day of the second year")
        axes.set_xlim(0, 366)
        axes.set_yticks(range(len(systems)), systems)
    figure.tight_layout()
    return figure


def _losses(losses: Mapping[str, Seen]) -> Figure:
    figure = Figure(figsize=(8, 4.6))
    axes = figure.subplots()
    for system, one in losses.items():
        if system not in LEFT_OUT and not isnan(one.rows):
            partly = one.detected < one.trials
            axes.plot(max(one.rows, 1), 100 * one.early, **style(system), fillstyle="none" if partly else "full")
    _logarithmic(axes)
    axes.set_ylim(-4, 104)
    axes.set_xlabel("rows from the change to the alarm, median (hollow: not in every trial)")
    axes.set_ylabel("% of trials with an alarm before the change")
    _legend(axes)
    return figure


def _logarithmic(axes: Any) -> None:
    """In plain numbers: 1, 2, 5, 10 …, or 1, 10, 100 … where there is no room for more."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    subs = (1, 2, 5) if high / low < DECADES_CLOSE else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _legend(axes: Any) -> None:
    """Each label once, filled, outside of the picture."""
    once: dict[str, Line2D] = {}
    for line in axes.get_lines():
        label = str(line.get_label())
        if not label.startswith("_") and label not in once:
            mark = {"marker": line.get_marker(), "markersize": line.get_markersize(), "linestyle": "none"}
            once[label] = Line2D([], [], color=line.get_color(), label=label, **mark)
    axes.legend(handles=list(once.values()), loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
