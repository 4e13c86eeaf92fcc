from models.baseline import SPECIALS, Baseline
from monitoring.reference import Extra, Reference
from tests.unit.monitoring.made import model

MADE = model(rows=500)


def test_columns_lie_side_by_side_in_contract_order_and_extras_follow() -> None:
    reference = MADE.reference
    assert [column.name for column in reference.columns] == ["f0", "f1", "f2", "city", "score"]
    assert [reference.side(j) for j in (0, 3, 4)] == ["feature", "feature", "output"]
    assert reference.size == sum(column.bins for column in reference.columns) + len(Extra)
    assert reference.bins(reference.baseline, 0).sum() == 500
    assert reference.judged == (0, 1, 2, 3, 4)


def test_without_a_baseline_columns_are_laid_out_and_none_is_judged() -> None:
    reference = Reference.of(MADE.schema, None)
    assert reference.judged == ()
    assert reference.columns[3].bins == SPECIALS + 4
    assert reference.columns[0].bins == SPECIALS + 1


def test_a_baseline_of_other_columns_is_no_baseline_for_that_side() -> None:
    other = Baseline(rows=500, features=MADE.baseline.features[:2], outputs=MADE.baseline.outputs)
    assert Reference.of(MADE.schema, other).judged == (4,)
