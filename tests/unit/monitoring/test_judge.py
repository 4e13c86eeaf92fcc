import numpy as np
import pytest

from models.baseline import SPECIALS, Special
from monitoring.alert import Standing
from monitoring.budget import Part, looks_per_30_days
from monitoring.judge import SMALL_SAMPLE_MARGIN, Judgement, Window, alphas, judge
from monitoring.judge import look as exact
from monitoring.reference import Extra, Reference
from monitoring.rules import Rules
from monitoring.skew import checks_of
from monitoring.tier import Scale
from monitoring.verdict import Check, Drifted, NoBaseline, Stable
from tests.unit.monitoring.made import model

MADE = model(rows=10_000, output="a score")  # before the features by name
REFERENCE = MADE.reference
RULES = Rules(drift_windows_s=(3600,))


def same(n: int = 1000) -> np.ndarray:
    """A window with training's own shares."""
    counts = np.zeros(REFERENCE.size, dtype=np.int64)
    counts[: REFERENCE.starts[-1]] = REFERENCE.baseline * n // 10_000
    counts[REFERENCE.starts[-1] + Extra.ROWS_ANSWERED] = n
    return counts


def moved(column: int, share: float, n: int = 1000) -> np.ndarray:
    """`share` of the column's rows moved to its first value bin."""
    counts = same(n)
    start, end = REFERENCE.starts[column] + SPECIALS, REFERENCE.starts[column + 1]
    taken = (counts[start:end] * share).astype(np.int64)
    counts[start:end] -= taken
    counts[start] += taken.sum()
    return counts


def look(*windows: tuple[int, np.ndarray], latched: frozenset[Check] = frozenset(), rules: Rules = RULES) -> Judgement:
    held = [Window(Scale.of(window_s), window_s, counts) for window_s, counts in windows]
    return judge(REFERENCE, held, rules, model="payments", versions=1, latched=latched)


def drift_of(counts: np.ndarray, rules: Rules) -> Stable | Drifted:
    """The drift verdict of f0."""
    window = Window(Scale.of(3600), 3600, counts)
    (found,) = exact(REFERENCE, [window], rules, model="payments", versions=1)
    verdict = found.drift_of(0).verdict
    assert isinstance(verdict, Stable | Drifted)
    return verdict


def test_the_levels_of_all_tests_of_30_days_add_up_to_the_budget() -> None:
    rules = Rules(drift_windows_s=(60, 3600, 86_400), budget_alarms_per_30_days=1.0)
    spent = 0.0
    for scale in rules.scales.values():
        level = alphas(rules, REFERENCE, 3, Window(scale, 0, same(0)))
        drift = level.drift * SMALL_SAMPLE_MARGIN * len(REFERENCE.judged)
        spent += 3 * looks_per_30_days(scale) * (drift + level.skew * checks_of(REFERENCE))
    assert spent + Part.SEGMENTS.value + Part.LABELS.value == pytest.approx(1.0)
    assert sum(part.value for part in Part) == pytest.approx(1.0)


def test_a_window_that_is_not_due_raises_nothing_and_clears_what_has_ended() -> None:
    scale, wrong = Scale.of(3600), moved(0, 0.9)
    between = Window(scale, 3600, wrong, due=False)
    assert judge(REFERENCE, [between], RULES, model="m", versions=1, latched=frozenset()).latched == frozenset()
    raised = look((3600, wrong)).latched
    assert judge(REFERENCE, [between], RULES, model="m", versions=1, latched=raised).standing is Standing.BREACH
    ended = Window(scale, 3600, same(), due=False)
    assert judge(REFERENCE, [ended], RULES, model="m", versions=1, latched=raised).latched == frozenset()


def test_the_worst_column_stands_first_and_features_before_outputs() -> None:
    counts = same()
    for column in (1, 4):  # a feature and the output, moved alike
        counts[REFERENCE.starts[column] : REFERENCE.starts[column + 1]] = moved(column, 0.4)[
            REFERENCE.starts[column] : REFERENCE.starts[column + 1]
        ]
    worst = moved(2, 0.9)
    counts[REFERENCE.starts[2] : REFERENCE.starts[3]] = worst[REFERENCE.starts[2] : REFERENCE.starts[3]]
    found = look((3600, counts))
    assert found.standing is Standing.BREACH
    assert [f.check.column for f in found.breaching] == ["f2", "f1", "a score"]


def test_unchanged_data_is_clear_and_too_little_of_it_is_no_data() -> None:
    assert look((3600, same())).standing is Standing.CLEAR
    assert look((3600, same(50))).standing is Standing.NO_DATA


def test_a_breach_stays_latched_between_the_raise_and_the_clear_level() -> None:
    tolerance = Rules(drift_windows_s=(3600,), tolerances={"payments": 0.2})
    raised = look((3600, moved(0, 0.6)), rules=tolerance)
    assert raised.standing is Standing.BREACH
    between = next(
        counts
        for share in np.linspace(0.6, 0.05, 200)
        if 0.16 < drift_of(counts := moved(0, float(share)), tolerance).effect < 0.2
    )
    assert look((3600, between), rules=tolerance).standing is Standing.CLEAR
    assert look((3600, between), rules=tolerance, latched=raised.latched).standing is Standing.BREACH
    assert look((3600, same()), rules=tolerance, latched=raised.latched).standing is Standing.CLEAR
    assert look((3600, same()), rules=tolerance, latched=raised.latched).latched == frozenset()


def test_a_latched_check_without_data_is_neither_breach_nor_clear() -> None:
    rules = Rules(drift_windows_s=(3600, 86_400))
    raised = look((3600, moved(0, 0.9)), (86_400, same()), rules=rules)
    silent = look((3600, same(10)), (86_400, same()), latched=raised.latched, rules=rules)
    assert silent.standing is Standing.NO_DATA
    assert silent.latched == raised.latched


def test_skew_that_stopped_altogether_clears_only_with_rows_to_show_it() -> None:
    counts = same()
    counts[REFERENCE.starts[0] + Special.NULL] = 300
    latched = frozenset({Check("feature", "f0", "null", 3600)})
    assert latched <= look((3600, counts)).latched
    assert look((3600, same()), latched=latched).standing is Standing.CLEAR
    assert look((3600, same(50)), latched=latched).standing is Standing.NO_DATA


def test_a_version_without_baseline_has_no_verdict() -> None:
    reference = Reference.of(MADE.schema, None)
    counts = np.full(reference.size, 500, dtype=np.int64)
    window = Window(Scale.of(3600), 3600, counts)
    found = judge(reference, [window], RULES, model="m", versions=1, latched=frozenset())
    assert found.standing is Standing.NO_DATA
    (one,) = exact(reference, [window], RULES, model="m", versions=1)
    assert all(isinstance(f.verdict, NoBaseline) for f in one.findings())


def test_a_model_of_plain_tensors_is_judged_without_columns() -> None:
    schema = type(MADE.schema)(0, "m", "1", "sha256:0", (), ())
    reference = Reference.of(schema, None)
    counts = np.zeros(reference.size, dtype=np.int64)
    window = Window(Scale.of(3600), 3600, counts)
    found = judge(reference, [window], RULES, model="m", versions=1, latched=frozenset())
    assert found.standing is Standing.NO_DATA
