"""RESULTS.md: who raised how many false alarms, who saw what how soon, under which versions."""

from collections.abc import Mapping, Sequence
from math import isnan

from loadtests.drift.results import Results, Rides
from loadtests.drift.score import Quiet, Seen
from loadtests.drift.systems import SYSTEMS

INTRODUCTION = """# Drift detection beside others

Written by `make bench-drift`; the figures are in `RESULTS.json`, the data in `scenarios.py`, the systems in `systems.py` and
`targets/`, where each says which page of its documentation it follows. All get the same reference and the same rows, but
for two things. A row whose column is missing (`column_missing`) is refused by a service: Plumbline gets a rejected request
that names the column, the others a null, as their users would. And Evidently compares with 20 000 rows drawn from the
reference: its tests are chosen for large samples all the same, and a report over all of it takes three times as long.
Systems that look at batches get chunks of 1 000 rows. ADWIN, KSWIN and PageHinkley get each column in standard deviations
from its mean in the reference, since their defaults have a scale. Where all of a scenario would take too long a system read
a part, and the days or trials of its own are in the table. Plumbline runs under its default rules; nothing was tuned on
(a), (c) or (d).

A *look* is what a system decides on: a chunk, a row for river, a minute for Plumbline, which alarms while its judgement is a
breach. A *page* is an alarm after a quiet look: a row of alarms that does not break off is one page; of Plumbline it is an
event that it sends, which is after the breach has held. A change is *detected* by
the first alarm behind its first row, whatever was alarming before: so read every delay beside the false alarms. `always`
detects everything.
"""


def document(results: Results, pictures: Mapping[str, str]) -> str:
    """The whole file; pictures: file by part."""

    def picture(part: str) -> str:
        return f"![{part}]({pictures[part]})\n\n" if part in pictures else ""

    parts = [INTRODUCTION, f"{_machine(results)}\n"]
    parts.append("## (a) Nothing changes: false alarms a month\n\n" + picture("unchanged") + _unchanged(results))
    parts.append("## (b) Named incidents: how soon\n\n" + picture("incidents") + _incidents(results.incidents))
    if results.rides:
        parts.append("## (c) Real rows: bicycle rides, 2011 → 2012\n\n" + picture("rides") + _rides(results.rides))
    parts.append("## (d) FriedmanDrift: the loss of a model\n\n" + picture("losses") + _losses(results.losses))
    parts.append("## (e) Speed and memory\n\n" + _speed(results))
    if results.failed:
        parts.append(
            "## Not measured\n\n" + "".join(f"- {name}: `{_line(why)}`\n" for name, why in results.failed.items())
        )
    return "\n".join(parts)


def _machine(results: Results) -> str:
    pins = sorted({pin for system in SYSTEMS for pin in system.requirements})
    about = ", ".join(f"{key} {value}" for key, value in results.machine.items())
    return f"{about}; seed {results.seed}; {results.took_s / 60:.0f} minutes. {', '.join(f'`{pin}`' for pin in pins)}."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _unchanged(results: Results) -> str:
    rows = []
    for name, found in results.unchanged.items():
        for system, one in found.items():
            rows.append([name.removeprefix("unchanged, "), system, *_quiet(one)])
    return _table(["traffic", "system", "days read", "pages", "pages a month (95 %)", "looks that alarm"], rows)


def _quiet(one: Quiet) -> list[str]:
    rate = f"{one.pages_a_month:.1f} ({one.low:.1f}–{one.high:.1f})"
    return [f"{one.days:.0f}", str(one.pages), rate, f"{one.alarmed_share:.1%}"]


def _incidents(incidents: Mapping[str, Mapping[str, Seen]]) -> str:
    rows = []
    for about, found in sorted(incidents.items()):
        for system, one in found.items():
            if one.trials:
                rows.append([about, system, *_seen(one)])
    head = [
        "incident, size",
        "system",
        "trials",
        "detected (95 %)",
        "rows, median",
        "rows, 95 %",
        "minutes, median",
        "alarm before",
    ]
    return (
        "Payments at 10 rows a minute with their seasons, six hours as ever, then twelve with the incident; sizes are shares "
        "of the rows, and σ of the logarithm for `mean_shift`.\n\n" + _table(head, rows)
    )


def _seen(one: Seen) -> list[str]:
    share = f"{one.detected / one.trials:.0%} ({one.share_low:.0%}–{one.share_high:.0%})"
    return [str(one.trials), share, _whole(one.rows), _whole(one.rows_high), _whole(one.minutes), f"{one.early:.1%}"]


def _whole(value: float) -> str:
    return "–" if isnan(value) else f"{value:,.0f}"


def _rides(rides: Mapping[str, Mapping[str, Rides]]) -> str:
    rows = [
        [name, system, *_quiet(one.quiet), _when(one)] for name, found in rides.items() for system, one in found.items()
    ]
    return (
        "An hour a row, the number of rides among the columns (it grew by two thirds); chunks are weeks. Shuffled, both years "
        "are alike and every page is a false one. The picture has the first 200 pages of each.\n\n"
        + _table(
            ["data", "system", "days read", "pages", "pages a month (95 %)", "looks that alarm", "first page"], rows
        )
    )


def _when(one: Rides) -> str:
    return f"day {one.pages[0].minute / 1440:.0f}: {one.pages[0].what[:60]}" if one.pages else "–"


def _losses(losses: Mapping[str, Seen]) -> str:
    rows = [[system, *_seen(one)] for system, one in losses.items() if one.trials]
    head = ["system", "trials", "detected (95 %)", "rows, median", "rows, 95 %", "minutes, median", "alarm before"]
    return (
        "2 500 rows of the concept that the model learnt, then 2 500 of another, a row a second; everybody watches the "
        f"absolute error. *Alarm before* is the false-alarm rate of a trial. Not applicable: {_left_out()}.\n\n"
        + _table(head, rows)
    )


def _left_out() -> str:
    return "; ".join(f"{system.name} ({system.not_of_one})" for system in SYSTEMS if system.not_of_one)


def _speed(results: Results) -> str:
    rows = [
        [system, f"{one.rows:,}", f"{one.rows_per_s:,.0f}", f"{one.cpu_ms_a_look:,.3g}", f"{one.peak_mib:.0f}"]
        for system, one in results.speed.items()
    ]
    return (
        "Of the largest scenario of (a) that it read: 8 columns, one thread, in its own calls; the peak is of the whole "
        "process, the scenario's own arrays with it. Plumbline judges every minute in which rows came, over all of its "
        "windows, and a judgement costs the same however few they were: at these rates that is nearly all of its time.\n\n"
        + _table(["system", "rows", "rows/s", "CPU ms a look", "peak MiB"], rows)
    )


def _line(text: str) -> str:
    return " ".join(text.split())[-300:]
