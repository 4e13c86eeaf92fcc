import numpy as np
import pandas as pd
import pytest

from models.appraise import appraise
from models.baseline import Baseline
from models.contract import Contract
from models.derive import derive
from models.grades import MICRO, Part
from models.performance import Performance
from models.session import Session
from models.task import Task, TaskKind
from tests.unit.models.graphs import echo

ROWS = 2000
RNG = np.random.default_rng(3)
P = RNG.uniform(size=ROWS)
Y = (RNG.uniform(size=ROWS) < P).astype(np.int64)
ONE = echo({"p": ("FP64", ["N", 1])})
PAIR = echo({"p": ("FP64", ["N", 2])}, {"p": ["a", "b"]})
PAIRS = pd.DataFrame({"a": 1 - P, "b": P, "y": Y, "at": np.arange(ROWS) * 600.0})


def described(session: Session, frame: pd.DataFrame, time: str | None = None) -> tuple[Contract, Baseline]:
    contract, baseline = derive(session, "m:1", frame, label="y", time=time)
    assert baseline is not None
    return contract, baseline


def test_two_probabilities_are_held_against_the_label_and_blocks_of_time_say_how_that_varies() -> None:
    contract, baseline = described(PAIR, PAIRS, "at")
    found = appraise(PAIR, "m:1", contract, baseline, PAIRS, label="y", time="at")
    assert found is not None
    assert found.task == Task(kind=TaskKind.BINARY, output="p_out[1]", classes=("0", "1"))
    assert (found.rows, found.held_out) == (ROWS, False)
    assert found.counts[Part.HITS].sum() == Y.sum()
    assert found.counts[Part.LOSS].sum() / MICRO / ROWS == pytest.approx(
        -np.log(np.where(Y > 0, P, 1 - P)).mean(), abs=1e-6
    )
    ((length_s, of_loss, beyond_promise),) = found.natural
    assert length_s == 86_400
    assert 0 <= beyond_promise < 0.3
    assert 0 <= of_loss < 0.5


def test_a_number_is_held_against_the_label_in_units_of_its_spread() -> None:
    frame = pd.DataFrame({"p": P * 100, "y": P * 100 + RNG.normal(size=ROWS)})
    contract, baseline = described(ONE, frame)
    found = appraise(ONE, "m:1", contract, baseline, frame, label="y", held_out=True)
    assert found is not None
    assert found.task.kind is TaskKind.NUMBER
    assert found.held_out
    assert found.scale == pytest.approx((P * 100).std())
    assert found.counts[Part.LOSS].sum() / MICRO / ROWS * found.scale == pytest.approx(0.8, abs=0.05)
    assert len(found.edges) == 9


def test_rows_without_a_label_are_left_out_and_too_few_are_no_reference() -> None:
    frame = PAIRS.assign(y=PAIRS["y"].astype("Int64").where(PAIRS.index % 2 == 0))
    frame = frame.drop(columns="at")
    contract, baseline = described(PAIR, frame)
    found = appraise(PAIR, "m:1", contract, baseline, frame, label="y")
    assert found is not None
    assert found.rows == ROWS // 2
    assert appraise(PAIR, "m:1", contract, baseline, frame.head(150), label="y") is None


def test_a_baseline_keeps_the_reference_and_one_without_it_is_written_as_before() -> None:
    contract, baseline = described(PAIR, PAIRS, "at")
    assert b"performance" not in baseline.encode()
    found = appraise(PAIR, "m:1", contract, baseline, PAIRS, label="y", time="at")
    whole = Baseline(rows=baseline.rows, features=baseline.features, outputs=baseline.outputs, performance=found)
    assert Baseline.decode(whole.encode()) == whole
    assert isinstance(Baseline.decode(whole.encode()).performance, Performance)
