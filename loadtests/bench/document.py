"""RESULTS.md: the bars, one table a scenario with its commands, under which versions and how quiet the machine was."""

from collections.abc import Sequence

from loadtests.bench import bars
from loadtests.bench.report import Measurement, Round, Spread, figures, times
from loadtests.bench.results import Result, Results
from loadtests.bench.scenarios import SCENARIOS, Cell, Closed, Scenario

CLOSED_HEAD = (
    "| system | {unit}/s | min–max | p50 ms | p99 ms | {subject} is | min–max | what runs |\n"
    "|---|---|---|---|---|---|---|---|\n"
)
OPEN_HEAD = (
    "| system | capacity/s | offered/s | goodput/s | goodput ÷ capacity | min–max | p50 ms | p95 ms | p99 ms "
    "| p99 ÷ p50 | refused | unanswered | driver late p99 ms | what runs |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
)
INTRODUCTION = """# Speed beside others

Written by `make bench`; the figures behind it are in `RESULTS.json`, the scenarios in `scenarios.py`, the systems in `peers/`
and `targets/`. Each system has one core and its own environment, the load comes from the other core, and the systems take
turns: a round measures each of them once. Figures are medians over rounds with the smallest and the largest; "plumbline is
10 ×" is the median of the ratios within each round. Before a system is measured, its answer is compared with that of ONNX
Runtime alone.

A scenario is replaced as a whole by the last run that measured all of it, so its date is its own.
"""


def document(results: Results) -> str:
    """The whole file."""
    rounds = {name: result.rounds for name, result in results.scenarios.items()}
    parts = [INTRODUCTION, "## Bars\n\n" + bars.table(rounds)]
    parts += [_scenario(one, results.scenarios[one.name]) for one in SCENARIOS if one.name in results.scenarios]
    parts.append("## Environments\n\n" + "".join(f"- {_pins(pins)}\n" for pins in sorted(results.environments)))
    return "\n".join(parts)


def _pins(pins: str) -> str:
    return f"`{pins}`" if pins else "the project's own, from `requirements-dev.lock`"


def _scenario(scenario: Scenario, result: Result) -> str:
    table = _closed(scenario, result.rounds) if isinstance(scenario.load, Closed) else _open(scenario, result.rounds)
    failed = "".join(f"\n{name} was not measured:\n\n```\n{why}\n```\n" for name, why in result.failed.items())
    shared = "" if scenario.apart else " The load generator shares the cores with the system."
    commands = "\n".join(result.commands)
    about = f"`{scenario.name}`, model `{scenario.model}`.{shared} {_circumstances(result)}"
    return (
        f"## {scenario.title}\n\n{about}\n\n{table}{failed}\n"
        f"<details><summary>commands</summary>\n\n```\n{commands}\n```\n\n</details>\n"
    )


def _circumstances(result: Result) -> str:
    machine = ", ".join(f"{key} {value}" for key, value in result.machine.items())
    speeds = [speed for around in result.calibration for speed in around]
    steady = f"calibration {min(speeds):,.0f}–{max(speeds):,.0f} MiB/s a core" if speeds else "no calibration"
    return (
        f"{result.measured_at}: {len(result.rounds)} rounds of {result.seconds} s; load before {result.load_before:.2f}, "
        f"{steady}; {machine}."
    )


def _closed(scenario: Scenario, rounds: Sequence[Round]) -> str:
    unit = "requests" if scenario.rows == 1 else "rows"
    head = CLOSED_HEAD.format(unit=unit, subject=scenario.subject)
    return head + "".join(_closed_row(cell, scenario.subject, rounds) for cell in scenario.cells)


def _closed_row(cell: Cell, subject: str, rounds: Sequence[Round]) -> str:
    rate = figures(rounds, cell.name, lambda m: m.per_s)
    if rate is None:
        return f"| {cell.name} | not measured | | | | | | {_what(cell)} |\n"
    ratio = times(rounds, subject, [cell.name])
    p50, p99 = (_median(rounds, cell, name) for name in ("p50_us", "p99_us"))
    than = f"{ratio.median:.2f} × | {ratio.low:.2f}–{ratio.high:.2f}" if ratio else "| "
    return f"| {cell.name} | {_count(rate)} | {p50} | {p99} | {than} | {_what(cell)} |\n"


def _open(scenario: Scenario, rounds: Sequence[Round]) -> str:
    return OPEN_HEAD + "".join(_open_row(cell, rounds) for cell in scenario.cells)


def _open_row(cell: Cell, rounds: Sequence[Round]) -> str:
    share = figures(rounds, cell.name, lambda m: m.goodput_share)
    if share is None:
        return f"| {cell.name} | not measured | | | | | | | | | | | | {_what(cell)} |\n"
    rates = [_of(rounds, cell, name) for name in ("capacity_per_s", "offered_per_s", "goodput_per_s")]
    latency = [_median(rounds, cell, name) for name in ("p50_us", "p95_us", "p99_us")]
    tail = figures(rounds, cell.name, lambda m: m.tail)
    lost = [_of(rounds, cell, name) for name in ("refused", "broken")]
    cells = [
        *rates,
        f"{share.median:.2f}",
        f"{share.low:.2f}–{share.high:.2f}",
        *latency,
        f"{tail.median:.2f}" if tail else "",
        *lost,
        _median(rounds, cell, "late_us_p99"),
    ]
    return f"| {cell.name} | {' | '.join(cells)} | {_what(cell)} |\n"


def _what(cell: Cell) -> str:
    return f"{cell.system.note}; {cell.form.value}"


def _count(found: Spread) -> str:
    return f"{found.median:,.0f} | {found.low:,.0f}–{found.high:,.0f}"


def _field(name: str, measured: Measurement) -> float:
    return float(getattr(measured, name))


def _of(rounds: Sequence[Round], cell: Cell, name: str) -> str:
    found = figures(rounds, cell.name, lambda m: _field(name, m))
    return f"{found.median:,.0f}" if found else ""


def _median(rounds: Sequence[Round], cell: Cell, name: str) -> str:
    """Microseconds as milliseconds."""
    found = figures(rounds, cell.name, lambda m: _field(name, m) / 1e3)
    return f"{found.median:.2f}" if found else ""
