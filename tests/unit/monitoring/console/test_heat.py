"""Every column in every window, with a number only where something was measured."""

from monitoring.picture import NOTHING
from tests.unit.monitoring.console.made import folded, pulse_of


def test_a_cell_says_what_the_check_of_that_window_says() -> None:
    pulse = pulse_of(folded(scale=1000.0))
    heat = pulse.gallery().heat("payments", "1")
    assert heat is not None
    assert heat.windows_s == tuple(sorted(heat.windows_s))
    assert [row.column for row in heat.rows] == ["f0", "f1", "f2", "city", "score"]
    assert {len(row.cells) for row in heat.rows} == {len(heat.windows_s)} == {len(heat.covered_s)}
    by_window = dict(zip(heat.windows_s, heat.rows[0].cells, strict=True))
    (check,) = (one for one in pulse.status().versions[0].drift if one.column == "f0")
    cell = by_window[check.window_s]
    assert (cell.verdict, cell.n) == ("drifted", check.n)
    assert cell.effect is not None
    assert check.effect is not None
    assert abs(cell.effect / check.effect - 1) < 1e-3


def test_a_window_of_too_few_rows_has_no_number() -> None:
    heat = pulse_of(folded(minutes=1, rows_per_minute=20)).gallery().heat("payments", None)
    assert heat is not None
    assert {(cell.verdict, cell.effect) for row in heat.rows for cell in row.cells} == {("too_few_samples", None)}


def test_of_what_was_not_judged_there_is_no_map() -> None:
    gallery = pulse_of(folded()).gallery()
    assert gallery.heat("other", None) is gallery.heat("payments", "9") is NOTHING.heat("payments", None) is None


def test_a_picture_of_one_column_is_that_column_of_the_whole_picture() -> None:
    gallery = pulse_of(folded(scale=1000.0)).gallery()
    whole, one = gallery.picture("payments", "1", None), gallery.picture("payments", "1", None, "f0")
    assert whole is not None
    assert one is not None
    assert one.columns == whole.columns[:1]
    assert (one.window_s, one.from_s) == (whole.window_s, whole.from_s)
