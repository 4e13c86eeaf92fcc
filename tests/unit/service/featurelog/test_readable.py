import json
import math
import struct

import msgspec

from service.featurelog.chunk import Run
from service.featurelog.readable import readable, rows
from service.featurelog.record import (
    Block,
    Feedback,
    Ledger,
    Outcome,
    Problem,
    Shadow,
    SkewKind,
    TensorNote,
)
from tests.unit.service.featurelog.writing import EVERY_KIND, MIXED, request

CELLS = struct.pack("<dqqq", 1.5, -7, 1, 0) + struct.pack("<dqqq", math.inf, 2**63 - 1, 0, -1) + bytes(32)
BLOCK = Block(3, CELLS, bytes(8) + b"\x01\x01\x00\x01", [(1, 3, "ålesund")])
SCORES = Block(3, struct.pack("<ddd", 0.25, 0.5, 1.0))


def test_rows_have_their_values_by_name_and_null_unseen_and_infinite_stay_apart() -> None:
    assert rows(BLOCK, EVERY_KIND) == [
        {"amount": 1.5, "count": -7, "flag": True, "city": "oslo"},
        {"amount": math.inf, "count": 2**63 - 1, "flag": False, "city": "ålesund"},
        {"amount": None, "count": None, "flag": False, "city": None},
    ]


def test_every_kind_of_record_becomes_one_object_with_its_identity() -> None:
    asked = msgspec.structs.replace(request(0), schema=3, rows=3, features=BLOCK, outputs=SCORES)
    rejected = msgspec.structs.replace(
        request(1, Outcome.REJECTED),
        problems=[Problem(SkewKind.NULL, "amount", 2)],
        tensors=[TensorNote("image", "float32", (1, 2), "ab", 0.5, None)],
    )
    shadow = Shadow(0, "r0", 3, Outcome.ANSWERED, "", 3, 9, SCORES)
    records = [
        (0, asked),
        (1, rejected),
        (2, shadow),
        (3, Feedback(0, "r0", 1, True, 5)),
        (4, Ledger(0, 0, {}, {}, {})),
    ]
    found = list(readable(Run("w0", 4, records, {3: MIXED})))  # type: ignore[arg-type]
    assert [one["type"] for one in found] == ["request", "request", "shadow", "feedback", "ledger"]
    assert [(one["writer"], one["epoch"], one["seq"]) for one in found] == [("w0", 4, seq) for seq in range(5)]
    assert found[0]["features"][0]["city"] == "oslo"
    assert found[0]["outputs"] == found[2]["outputs"] == [{"score": 0.25}, {"score": 0.5}, {"score": 1.0}]
    assert (found[0]["version"], found[2]["model"]) == ("2", "payments")
    assert found[1]["problems"] == [{"kind": "null", "column": "amount", "rows": 2}]
    assert found[1]["tensors"][0]["sha256"] == "ab"
    assert found[3]["label"] is True
    for one in found:
        json.loads(msgspec.json.encode(one))


def test_a_record_whose_schema_is_lost_is_told_without_values() -> None:
    asked = msgspec.structs.replace(request(0), schema=3, features=BLOCK)
    (found,) = readable(Run("w0", 1, [(0, asked)], {}))
    assert (found["features"], found["version"], found["request_id"]) == (None, None, "r0")
