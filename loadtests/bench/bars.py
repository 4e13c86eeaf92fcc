"""Where must the figures be? The bars, each with what was measured against it."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from loadtests.bench.peers import bare, bentoml, fastapi, litserve, mlserver, ours
from loadtests.bench.report import Round, Spread, figures, times

OURS = ours.OURS.name
BENTOML = (bentoml.SYNC.name, bentoml.ASYNC.name, bentoml.BATCHABLE.name)
BATCHING = (bentoml.BATCHABLE.name, litserve.BATCHING.name, mlserver.BATCHING.name)


class Bar(NamedTuple):
    """`figure` of the rounds of `scenario` must be at least (or, with `at_most`, at most) `bar`."""

    says: str
    scenario: str
    bar: float
    figure: Callable[[Sequence[Round]], Spread | None]
    at_most: bool = False

    def holds(self, found: Spread) -> bool:
        return found.median <= self.bar if self.at_most else found.median >= self.bar


def _against(*others: str, subject: str = OURS) -> Callable[[Sequence[Round]], Spread | None]:
    return lambda rounds: times(rounds, subject, others)


BARS = (
    Bar("requests/s beside BentoML's best mode", "one_row", 10, _against(*BENTOML)),
    Bar("requests/s beside MLServer", "one_row", 5, _against(mlserver.MLSERVER.name)),
    Bar("requests/s beside FastAPI, async", "one_row", 2, _against(fastapi.ASYNC.name)),
    Bar("requests/s beside bare uvicorn + ONNX Runtime", "one_row", 0.5, _against(bare.UVICORN_ORT.name)),
    Bar("rows/s of 1 024-row binary requests beside ONNX Runtime alone", "rows_1024", 0.8,
        _against(bare.ALONE.name, subject="plumbline, V2 binary")),
    Bar("requests/s of the 10 ms model beside the best peer that batches", "slow_model", 1, _against(*BATCHING)),
    Bar("requests/s with the log beside without", "extras", 0.85, _against(ours.UNLOGGED.name)),
    Bar("p99 ÷ p50 at 70 % of capacity, none refused", "poisson", 5,
        lambda rounds: figures(rounds, OURS, lambda m: m.steady_tail), True),
    Bar("goodput ÷ capacity at twice the capacity, cheap rows", "overload", 0.9,
        lambda rounds: figures(rounds, ours.HURRIED.name, lambda m: m.goodput_share)),
    Bar("p99 (ms) of what is answered at twice the capacity, cheap rows", "overload", ours.DEADLINE_MS,
        lambda rounds: figures(rounds, ours.HURRIED.name, lambda m: m.slowest_ms), True),
    Bar("goodput ÷ capacity at twice the capacity, 10 ms model", "overload_slow", 0.9,
        lambda rounds: figures(rounds, ours.HURRIED.name, lambda m: m.goodput_share)),
    Bar("p99 (ms) of what is answered at twice the capacity, 10 ms model", "overload_slow", ours.DEADLINE_MS,
        lambda rounds: figures(rounds, ours.HURRIED.name, lambda m: m.slowest_ms), True),
)  # fmt: skip


def table(rounds: Mapping[str, Sequence[Round]]) -> str:
    """A Markdown table of all bars, those without a measurement too."""
    head = "| plumbline's … | bar | found | min–max | |\n|---|---|---|---|---|\n"
    return head + "".join(_row(bar, rounds.get(bar.scenario, ())) for bar in BARS)


def _row(bar: Bar, rounds: Sequence[Round]) -> str:
    says = f"{bar.says} (`{bar.scenario}`)"
    wanted = f"{'≤' if bar.at_most else '≥'} {bar.bar:g}"
    found = bar.figure(rounds)
    if found is None:
        return f"| {says} | {wanted} | not measured | | |\n"
    verdict = "holds" if bar.holds(found) else "**missed**"
    return f"| {says} | {wanted} | {found.median:.2f} | {found.low:.2f}–{found.high:.2f} | {verdict} |\n"
