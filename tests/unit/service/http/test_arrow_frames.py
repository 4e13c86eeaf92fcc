"""What an Arrow stream says it holds, and that no damage to one does worse than a refusal."""

import random
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import RequestError
from service.http.arrow import Arrow
from service.http.arrow_frames import MESSAGES_MAX, PAIRS_MAX, Held, held
from service.http.wire import Decoded
from service.rows import Table
from tests.onnx_models import echo, install
from tests.processes import ROOT, environment
from tests.unit.service.http.arrow_streams import ROWS, floats_contract, in_batches, stream, table
from tests.unit.service.serving import furnish, served

pytestmark = pytest.mark.slow

DAMAGED = 4_000
SEED = 20_251_120


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}, {"compression": "lz4"}], ids=str)
@pytest.mark.parametrize("n", [0, 1, 500])
def test_rows_and_bytes_are_told_by_the_frames_alone(n: int, options: dict[str, str]) -> None:
    sent = table(ROWS * n, city=pa.dictionary(pa.int32(), pa.string()))
    rows, size = held(stream(sent, batch=100, **options))
    assert rows == 2 * n
    assert size >= sent.nbytes


def test_a_dictionary_that_grows_holds_all_of_it_anew_each_time() -> None:
    words, steps = ["w" * 100] * 1_000, 50
    body = in_batches(words, [0] * steps, growing=True)
    told, before = held(body), pa.total_allocated_bytes()
    read = pa.ipc.open_stream(body).read_all()
    assert told.rows == read.num_rows == steps
    assert told.held_bytes >= pa.total_allocated_bytes() - before > steps * len(words) * 100 > 10 * len(body)


def test_more_messages_than_may_be_are_refused() -> None:
    few = stream(table(ROWS * 4), batch=1)
    assert held(few).rows == 8
    with pytest.raises(ValueError, match="expected larger batches"):
        held(stream(table(ROWS * MESSAGES_MAX), batch=1))


def message(kind: int, pairs: int = 0, *, ahead: int = 0) -> bytes:
    """A header of no rows and no body; its nodes and buffers are one vector, its own or that of the bytes `ahead`."""
    metadata = struct.pack(
        "<I 6H iB3xI 5H2x iII I",
        *(16, 12, 12, 0, 4, 8, 0),  # the message: kind and header
        *(12, kind, 16),
        *(10, 12, 0, 4, 8),  # the batch: nodes and buffers
        *(12, 8 + ahead, 4 + ahead),
        pairs,
    ) + bytes(16 * pairs)
    return struct.pack("<iI", -1, len(metadata)) + metadata


def test_a_message_that_names_the_vector_of_another_is_refused() -> None:
    """Each of many could name one long vector, and it would be walked again for each."""
    schema, long = message(1), message(3, 10)
    assert held(schema + long) == Held(0, 0)
    with pytest.raises(ValueError, match="outside its message"):
        held(schema + message(3, ahead=len(message(3))) + long)


def test_more_nodes_and_buffers_than_may_be_are_refused() -> None:
    half = message(3, PAIRS_MAX // 4)
    assert held(message(1) + half * 2) == Held(0, 0)
    for many in (half * 2 + message(3, 1), message(3, PAIRS_MAX)):
        with pytest.raises(ValueError, match="nodes and buffers, expected larger batches"):
            held(message(1) + many)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_the_walk_of_anything_ends_in_numbers_or_a_value_error(data: bytes) -> None:
    for given_bytes in (data, b"\xff\xff\xff\xff" + data):
        with suppress(ValueError):
            assert isinstance(held(given_bytes), Held)


def test_a_claim_of_rows_without_bytes_is_refused() -> None:
    batch = pa.record_batch([pa.nulls(3), pa.array([1, 2, 3], pa.int8())], names=["none", "some"])
    body = stream(pa.Table.from_batches([batch]))
    claimed = body.replace((3).to_bytes(8, "little"), (2**40).to_bytes(8, "little"), 1)
    assert claimed != body
    with pytest.raises(ValueError, match="different lengths"):
        held(claimed)


def alone(*command: str) -> str:
    """What a module prints in a process of its own."""
    argv = [sys.executable, "-m", *command]
    ran = subprocess.run(argv, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, f"{ran.returncode}\n{ran.stderr[-2000:]}"
    return ran.stdout


def test_no_request_waits_for_pandas_to_be_imported(tmp_path: Path) -> None:
    """pyarrow imports it behind many of its doors: two seconds in which a worker answers nobody."""
    furnish(tmp_path)
    install(tmp_path, "floats", "1", echo({"x": ("FP32", ["N", 2])}), floats_contract())
    (tmp_path / "mixed.stream").write_bytes(stream(table(ROWS, city=pa.dictionary(pa.int8(), pa.string()))))
    (tmp_path / "floats.stream").write_bytes(stream(pa.table({"a": [0.5, 1.5], "b": [2.5, 3.5]})))
    assert "Matrix" in alone("tests.unit.service.http.arrow_first", str(tmp_path))


@pytest.mark.simulation
def test_no_damage_to_a_stream_ends_the_process(tmp_path: Path) -> None:
    """In a process of its own, so that a crash is a failure of this test and not of the run."""
    refused, taken = map(int, alone("tests.unit.service.http.test_arrow_frames", str(tmp_path)).split())
    assert refused + taken == DAMAGED and refused > DAMAGED / 2, f"seed {SEED}"


def damage(home: Path) -> None:
    """Decodes streams with a few bytes changed; prints how many were refused and how many were still streams."""
    furnish(home)
    version = served(home)
    wire = Arrow(max_rows=1_000, max_bytes=100_000)
    types = {"city": pa.dictionary(pa.int8(), pa.string())}
    streams = [
        stream(table(ROWS * 3, **given), batch=2, **options)
        for given in ({}, types)
        for options in ({}, {"compression": "zstd"}, {"compression": "lz4"})
    ]
    rng = random.Random(SEED)
    taken = 0
    for _ in range(DAMAGED):
        body = bytearray(rng.choice(streams))
        for _ in range(rng.randint(1, 6)):
            body[rng.randrange(len(body))] = rng.randrange(256)
        try:
            inputs = wire.decode(version, bytes(body)).inputs
        except RequestError:
            continue
        assert isinstance(inputs, Table)
        version.blocks.block(inputs.rows)
        wire.encode(version, version.session.run(version.tensors(inputs)), Decoded(inputs), "id")
        taken += 1
    print(DAMAGED - taken, taken)


if __name__ == "__main__":
    damage(Path(sys.argv[1]))
