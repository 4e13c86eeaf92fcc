"""What of the log can be asked again, and how it is cut into runs."""

from itertools import pairwise

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.contract import Column, Contract, Kind, Privacy, Tensor
from service.replay import in_runs
from service.replay_plan import ABOUT, Plan, Reason, Refused, names_in_log, plan, readable
from tests.onnx_models import image_contract

X = Column(name="x", kind=Kind.FLOAT)


def contract(*features: Column, outputs: tuple[Column, ...] = (Column(name="y", kind=Kind.FLOAT),)) -> Contract:
    def tensor(column: Column) -> Tensor:
        datatype = {Kind.FLOAT: "FP64", Kind.INT: "INT64", Kind.BOOL: "BOOL", Kind.STRING: "BYTES"}[column.kind]
        return Tensor(name=f"{column.name}_in", datatype=datatype, shape=(-1, 1), columns=(column.name,))

    return Contract(
        features=features,
        inputs=tuple(map(tensor, features)),
        outputs=tuple(map(tensor, outputs)),
        output_columns=outputs,
    )


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        (contract(Column(name="z", kind=Kind.FLOAT)), Refused(Reason.NOT_LOGGED, "x")),
        (contract(msgspec.structs.replace(X, privacy=Privacy.DROP)), Refused(Reason.NOT_LOGGED, "x")),
        (contract(msgspec.structs.replace(X, privacy=Privacy.HASH)), Refused(Reason.NOT_AS_GIVEN, "x")),
        (
            contract(msgspec.structs.replace(X, privacy=Privacy.BUCKET, edges=(1.0, 2.0))),
            Refused(Reason.NOT_AS_GIVEN, "x"),
        ),
        (contract(Column(name="x", kind=Kind.STRING)), Refused(Reason.OTHER_KIND, "x")),
        (contract(X, outputs=(Column(name="w", kind=Kind.FLOAT),)), Refused(Reason.NOTHING_TO_COMPARE)),
        (contract(X, outputs=(Column(name="y", kind=Kind.STRING),)), Refused(Reason.NOTHING_TO_COMPARE)),
    ],
)
def test_why_an_input_cannot_be_asked_again_has_a_reason(recorded: Contract, expected: Refused) -> None:
    found = plan(contract(X), recorded, set(names_in_log(recorded).values()))
    assert found == expected and ABOUT[expected.reason]


def test_what_the_log_holds_as_it_was_given_is_readable_beside_what_it_does_not() -> None:
    hashed, dropped = (Column(name=p.value, kind=Kind.FLOAT, privacy=p) for p in (Privacy.HASH, Privacy.DROP))
    assert readable(contract(hashed, X, dropped), {"hash", "x", "y"}) == {"x": "x"}
    assert readable(contract(X), {"y"}) == {}


def test_plain_tensors_are_known_by_digest_only() -> None:
    assert plan(image_contract(), image_contract(), {"total"}) == Refused(Reason.BY_DIGEST_ONLY)


def test_a_whole_number_may_be_asked_where_a_float_is_taken_and_outputs_of_one_side_are_named() -> None:
    outputs = (Column(name="y", kind=Kind.INT), Column(name="old", kind=Kind.INT))
    recorded = contract(Column(name="x", kind=Kind.INT), outputs=outputs)
    target = contract(X, outputs=(Column(name="y", kind=Kind.FLOAT), Column(name="new", kind=Kind.FLOAT)))
    found = plan(target, recorded, {"x", "y", "old"})
    assert found == Plan(("x",), (("y", Kind.FLOAT, "y"),), ("old",), ("new",))


def test_names_that_the_log_had_to_change_are_found() -> None:
    both = contract(Column(name="rows", kind=Kind.FLOAT), outputs=(Column(name="Rows", kind=Kind.FLOAT),))
    found = plan(both, both, {"feature.rows", "output.Rows"})
    assert isinstance(found, Plan)
    assert (found.features, found.outputs) == (("feature.rows",), (("Rows", Kind.FLOAT, "output.Rows"),))


@given(st.lists(st.integers(1, 5), max_size=30), st.integers(1, 7), st.integers(1, 9))
def test_requests_are_cut_into_runs_and_never_divided(sizes: list[int], a_batch: int, a_run: int) -> None:
    seqs = [seq for seq, size in enumerate(sizes) for _ in range(size)]
    table = pa.table(
        {
            "writer": pa.array([f"w{seq % 2}" for seq in seqs], pa.string()),
            "epoch": pa.array([1 for _ in seqs], pa.int64()),
            "seq": pa.array([seq // 2 for seq in seqs], pa.int64()),
            "place": pa.array(range(len(seqs)), pa.int64()),
        }
    )
    cut = list(in_runs(pa.RecordBatchReader.from_batches(table.schema, table.to_batches(a_batch)), a_run))
    assert [place for piece in cut for place in piece["place"].to_pylist()] == list(range(len(seqs)))
    neighbours = [(seqs[piece["place"][0].as_py()], seqs[piece["place"][-1].as_py()]) for piece in cut]
    assert all(end < start for (_, end), (start, _) in pairwise(neighbours))
    assert all(len(piece) < a_run + max(sizes) + a_batch for piece in cut)
