from pathlib import Path

import pytest

from monitoring.errors import RolloutInvalid
from monitoring.rollout.document import DEFAULT_GUARDS, Guards, LabelGuard, LatencyGuard, Rollout, ShareGuard

WHERE = "rollouts/payments.toml"


def test_a_version_is_enough_and_the_rest_has_defaults() -> None:
    rollout = Rollout.decode('version = "2"', WHERE)
    assert rollout.steps == (1, 5, 25, 50, 100)
    assert rollout.guards == DEFAULT_GUARDS
    assert rollout.guards.names() == ("errors", "rejections", "latency p50", "latency p99", "predictions")
    assert rollout.alpha == pytest.approx(0.01 / 5)


def test_the_page_shows_the_defaults() -> None:
    page = (Path(__file__).resolve().parents[4] / "docs" / "rollouts.md").read_text()
    text = page.split("```toml\n")[1].split("```")[0]
    assert Rollout.decode(text, WHERE) == Rollout(version="2")


def test_a_table_of_guards_names_all_of_them() -> None:
    text = """
    version = "2"
    steps = [2.5, 50]
    [[guards.latency]]
    quantile = 0.95
    ratio = 1.5
    [guards.labels]
    tolerance = 0.02
    """
    rollout = Rollout.decode(text, WHERE)
    assert rollout.guards == Guards(latency=(LatencyGuard(0.95, 1.5),), labels=LabelGuard(0.02))
    assert rollout.guards.errors is None
    assert rollout.guards.names() == ("latency p95", "labels")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "missing required field `version`"),
        ("version = ", "found Invalid value"),
        ('version = ""', "length >= 1 - at `$.version`"),
        ("version = 2", "Expected `str`, got `int` - at `$.version`"),
        ('version = "2"\nsteps = []', "length >= 1 - at `$.steps`"),
        ('version = "2"\nsteps = [0]', "`float` > 0"),
        ('version = "2"\nsteps = [1, 101]', "`float` <= 100"),
        ('version = "2"\nsteps = [5, 1]', "steps: found [5.0, 1.0], expected rising shares in percent"),
        ('version = "2"\nsteps = [5, 5]', "expected rising shares in percent"),
        ('version = "2"\nbake_s = 30', "`int` >= 60 - at `$.bake_s`"),
        ('version = "2"\nrequests_min = 99', "`int` >= 100 - at `$.requests_min`"),
        ('version = "2"\nfalse_rollbacks = 0.5', "`float` <= 0.1 - at `$.false_rollbacks`"),
        ('version = "2"\ntogether = 0', "`float` >= 1.0 - at `$.together`"),
        ('version = "2"\nsince = 2026-11-21T10:00:00', "at `$.since`"),
        ('version = "2"\nsteeps = [1]', "unknown field `steeps`"),
        ('version = "2"\n[guards]', "guards: found none, expected at least one guard"),
        ('version = "2"\n[guards.errors]', "missing required field `tolerance` - at `$.guards.errors`"),
        ('version = "2"\n[guards.errors]\ntolerance = 1.5', "`float` < 1.0 - at `$.guards.errors.tolerance`"),
        ('version = "2"\n[guards.erors]\ntolerance = 0.1', "unknown field `erors`"),
        ('version = "2"\n[[guards.latency]]\nquantile = 1.0\nratio = 2', "at `$.guards.latency[0].quantile`"),
        ('version = "2"\n[[guards.latency]]\nquantile = 0.5\nratio = 0.9', "at `$.guards.latency[0].ratio`"),
        (
            'version = "2"\nguards.latency = [{quantile=0.5, ratio=2}, {quantile=0.5, ratio=3}]',
            "guards.latency: found a quantile twice",
        ),
    ],
)
def test_a_bad_document_is_refused_with_place_and_reason(text: str, said: str) -> None:
    with pytest.raises(RolloutInvalid) as error:
        Rollout.decode(text, WHERE)
    assert said in str(error.value)
    assert str(error.value).startswith(WHERE)
    assert str(error.value).endswith("the rollout does not start")


def test_each_guard_has_an_equal_part_of_the_chance_of_a_false_rollback() -> None:
    rollout = Rollout(version="2", false_rollbacks=0.02, guards=Guards(errors=ShareGuard(0), predictions=ShareGuard(0)))
    assert rollout.alpha * len(rollout.guards.names()) == pytest.approx(0.02)
