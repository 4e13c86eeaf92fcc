"""Every alert fires once by what it is there for and reaches a receiver; meanwhile every panel and every rule has data.

The rules are deploy/prometheus/*.yml with `for`, ranges and offsets divided by 120 (tests/alarms/quick.py), nothing else. What
runs and what goes wrong stands in tests/alarms/stage.py.
"""

import os
import re
import time
from collections.abc import Iterator

import pytest

from tests.alarms.causes import CAUSED
from tests.alarms.quick import FACTOR, in_ms, quick
from tests.alarms.stage import HOMES, Alarmed, alarmed
from tests.dashboards import Asked, asked
from tests.observing import RULES, query_range, rules_of, rules_seen
from tests.small_disk import CannotMount
from tests.unit.test_runbooks import SEVERITIES

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(900),  # of the whole stage, on a machine that does much else
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="other processors divide without a signal: no ejection"),
]
ELSEWHERE = {"PlumblineLogNotSynced": "test_refused_fsync.py, which needs a loop device"}
VARIABLES = {"home": "|".join(HOMES), "model": ".*", "version": ".*", "__rate_interval": "5s"}
STEP_S = 2  # the shortest that anything lasts is twice as long


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alarmed]:
    try:
        with alarmed(tmp_path_factory.mktemp("alarms")) as made:
            yield made
    except CannotMount as error:
        pytest.skip(str(error))


def test_every_alert_is_caused_here_or_elsewhere() -> None:
    assert CAUSED.keys().isdisjoint(ELSEWHERE)
    assert CAUSED.keys() | ELSEWHERE.keys() == {rule["alert"] for rule in rules_of("alerts.yml")}


@pytest.mark.parametrize("name", ["alerts.yml", "recording.yml"])
def test_a_quick_rule_is_the_shipped_one_with_its_times_divided(name: str) -> None:
    shipped = (RULES / name).read_text()
    assert in_ms(quick(shipped), FACTOR) == in_ms(shipped)
    assert not re.findall(r"\[\d+[smhd]\]|for: [1-9]\d*[smhd]\b|offset \d+[smhd]\b", quick(shipped))


@pytest.mark.parametrize("alert", CAUSED)
def test_an_alert_fires_by_its_fault_and_reaches_the_receiver_of_its_severity(stage: Alarmed, alert: str) -> None:
    said = stage.told.wait_for(alert, CAUSED[alert])
    assert said.receiver == SEVERITIES[said.labels["severity"]]
    for text in said.annotations.values():
        assert text and "<no value>" not in text and "error expanding template" not in text
    assert said.annotations["runbook_url"] == f"docs/runbooks/{alert}.md"


def test_every_rule_is_evaluated_and_has_had_data(stage: Alarmed) -> None:
    assert {rule["health"] for rule in rules_seen(stage.prometheus)} == {"ok"}
    recorded = [rule["record"] for rule in rules_of("recording.yml")]
    assert [name for name in recorded if not _series(stage, name)] == []


def test_every_expression_of_every_panel_has_had_data_and_the_labels_of_its_legend(stage: Alarmed) -> None:
    found = {one: _series(stage, one.expr) for one in asked(**VARIABLES)}
    assert [str(one) for one, series in found.items() if not series] == []
    assert [
        str(one) for one, series in found.items() if not any(_named(one) <= labels.keys() for labels in series)
    ] == []


def _series(stage: Alarmed, expression: str) -> list[dict[str, str]]:
    """Labels of every series that there was since the stage began."""
    return query_range(stage.prometheus, expression, stage.began_s, time.time(), STEP_S)


def _named(one: Asked) -> set[str]:
    """The labels that its legend names."""
    return set(re.findall(r"{{(\w+)}}", one.legend))
