"""The bars: each finds its figure in the rounds of its scenario, and says whether it holds."""

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from loadtests.bench.bars import BARS, Bar, table
from loadtests.bench.report import Measurement, Round, Spread
from loadtests.bench.scenarios import SCENARIOS
from tests.unit.loadtests.bench.test_report import GOOD

OPEN = replace(GOOD, capacity_per_s=1_000.0, offered_per_s=2_000.0, goodput_per_s=950.0)


def rounds_of(scenario: str) -> list[Round]:
    """Two rounds in which every system of the scenario is exactly as good as every other."""
    cells = next(one for one in SCENARIOS if one.name == scenario).cells
    each: Mapping[str, Measurement] = {cell.name: OPEN for cell in cells}
    return [each, each]


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: bar.says)
def test_every_bar_finds_its_figure_in_its_scenario(bar: Bar) -> None:
    found = bar.figure(rounds_of(bar.scenario))
    assert found is not None
    assert found.low == found.median == found.high > 0


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: bar.says)
def test_a_bar_holds_on_its_own_side_and_at_its_value(bar: Bar) -> None:
    above, at, below = (Spread(bar.bar + step, 0, 0) for step in (0.01, 0, -0.01))
    assert [bar.holds(found) for found in (above, at, below)] == [not bar.at_most, True, bar.at_most]


def test_what_was_not_measured_is_said_to_be() -> None:
    text = table({})
    assert text.count("not measured") == len(BARS)
    assert "holds" not in text


def test_a_missed_bar_stands_out() -> None:
    text = table({"one_row": rounds_of("one_row")})
    assert "| requests/s beside BentoML's best mode (`one_row`) | ≥ 10 | 1.00 | 1.00–1.00 | **missed** |" in text
    assert "| requests/s beside bare uvicorn + ONNX Runtime (`one_row`) | ≥ 0.5 | 1.00 | 1.00–1.00 | holds |" in text
