"""After a retraining the reference follows what is routed: each version is judged against its own baseline."""

from dataclasses import replace

import numpy as np

from models.baseline import Baseline, column_of_codes, column_of_numbers
from monitoring.alert import Phase
from monitoring.fold import fold
from monitoring.rules import Rules
from monitoring.state import State, Version
from service.featurelog.record import Record, Schema
from tests.unit.monitoring.made import CITIES, START_MINUTE, Model, chunk, model, traffic

RULES = replace(Rules(), cooldown_s=600)
SCALE = 1000.0
OLD = model(rows=5000)


def retrained(old: Model) -> Model:
    """Version 2, of what the world has become: f0 a thousand times larger."""
    rng, n = np.random.default_rng(9), 5000
    nothing = np.zeros(n, dtype=np.bool_)
    columns = old.contract.features
    features = [
        column_of_numbers(one, rng.normal(size=n) * (SCALE if one.name == "f0" else 1), nothing) for one in columns[:-1]
    ]
    features.append(column_of_codes(columns[-1], rng.integers(0, len(CITIES), n), nothing))
    schema = Schema(0, "payments", "2", "sha256:" + "b" * 64, old.schema.features, old.schema.outputs)
    return Model(schema, Baseline(rows=n, features=tuple(features), outputs=old.baseline.outputs), old.contract)


NEW = retrained(OLD)


def wrong(start: int, minutes: int) -> list[Record]:
    rng = np.random.default_rng(start)
    span = range(START_MINUTE + start, START_MINUTE + start + minutes)
    return traffic(rng, minutes=span, rows_per_minute=40, scale=SCALE)


def test_what_was_drift_to_the_old_version_is_none_to_the_one_that_came_of_it() -> None:
    state, references = State(), {**OLD.references(), **NEW.references()}
    assert len(fold(state, chunk(*wrong(0, 20), made=OLD), settled=True, rules=RULES, references=references)) == 1
    more = fold(state, chunk(*wrong(20, 200), made=NEW, writer="w1"), settled=True, rules=RULES, references=references)
    assert more == [], "the same rows, judged by what version 2 was trained on"
    new = state.judged[Version("payments", "2", NEW.schema.digest)].judgement
    assert new.breaching == ()
    assert state.alerts[Version("payments", "2", NEW.schema.digest)].phase is Phase.QUIET


def test_the_old_version_would_have_been_judged_wrong_all_along() -> None:
    """So that the promise above can fail: the same rows of version 1 are a breach to the end."""
    state = State()
    fold(state, chunk(*wrong(0, 220), made=OLD), settled=True, rules=RULES, references=OLD.references())
    assert state.alerts[Version("payments", "1", OLD.schema.digest)].phase is Phase.FIRING
