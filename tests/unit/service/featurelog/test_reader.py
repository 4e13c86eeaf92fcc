"""A table of damages: what was done to the files, what is still handed out, and what is reported as lost."""

import asyncio
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.featurelog.chunk import Lost, Positions
from service.featurelog.files import list_segments
from service.featurelog.framing import PAYLOAD_BYTES_MAX, Frame, frame, scan
from service.featurelog.reader import FRAME_BYTES_MAX, READ_BYTES, LogReader
from service.featurelog.record import Head, Request, Schema, Seal, decode
from service.featurelog.segments import Rotation, segment_name
from tests.unit.service.featurelog.writing import NEVER, SCHEMA, chunks, ids, read, request, segment, write, writer

pytestmark = pytest.mark.slow

SMALL = Rotation(400, 1e9)
N = 30


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Thirty requests and a ledger in several segments of one epoch."""
    write(tmp_path, [request(number) for number in range(N)], rotation=SMALL)
    return tmp_path


def paths(root: Path, writer_name: str = "w0") -> list[Path]:
    return [one.path for one in list_segments(root / writer_name)]


def frames(path: Path) -> list[Frame]:
    return [found for found in scan(path.read_bytes()) if isinstance(found, Frame)]


def requests_in(path: Path) -> list[str]:
    found = [decode(one.payload) for one in frames(path)]
    return [payload.request_id for payload in found if isinstance(payload, Request)]


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(bytes(data))


def exact(lost: list[Lost]) -> int:
    """Records that are known to be missing."""
    return sum(hole.records or 0 for hole in lost)


def names(*numbers: int) -> list[str]:
    return [f"r{number}" for number in numbers]


ALL = names(*range(N))


def test_a_whole_log_is_handed_out_once_and_in_order(log: Path) -> None:
    records, lost = read(log)
    assert (ids(records), lost) == (ALL, [])
    assert len(records) == N + 1


def test_an_absent_or_empty_log_is_nothing_and_caught_up(tmp_path: Path) -> None:
    for root in (tmp_path / "nowhere", tmp_path):
        chunk = LogReader(root).read(10)
        assert (chunk.runs, chunk.lost, chunk.caught_up) == ((), (), True)


# --- positions ----------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 7), min_size=1, max_size=12), st.booleans())
def test_reading_from_any_position_gives_exactly_the_rest(log: Path, steps: list[int], fresh: bool) -> None:
    """`fresh`: a new reader at each step, as after a restart."""
    reader, seen, positions = LogReader(log), [], Positions()
    for step in steps:
        chunk = reader.read(step)
        assert chunk.lost == ()
        seen += [record for run in chunk.runs for _, record in run.records]
        positions = reader.positions
        if fresh:
            reader = LogReader(log, positions)
    records, lost = read(log, LogReader(log, positions))
    assert ids(seen) + ids(records) == ALL
    assert lost == []


def test_what_was_read_ahead_is_not_behind_the_position(log: Path) -> None:
    reader = LogReader(log)
    first = ids([record for run in reader.read(3).runs for _, record in run.records])
    reader.close()
    assert first + ids(read(log, reader)[0]) == ALL


def test_a_reader_that_starts_in_the_middle_of_a_segment_knows_its_schemas_and_its_numbering(tmp_path: Path) -> None:
    schema = msgspec.structs.replace(SCHEMA, id=0)
    numbered = [(0, schema), *((number, request(number)) for number in (0, 1, 2, 5))]
    path = segment(tmp_path, numbered)
    after_second = frames(path)[3].end
    chunk = LogReader(tmp_path, {"w0": (1, 0, after_second)}).read(10)
    assert chunk.runs[0].schemas == {0: schema}
    assert [seq for seq, _ in chunk.runs[0].records] == [2, 5]
    assert [(hole.reason, hole.records) for hole in chunk.lost] == [("gap", 2)]


def test_a_payload_of_a_later_version_before_the_position_does_not_stop_the_reader(tmp_path: Path) -> None:
    path = segment(tmp_path, [(0, request(0))])
    with path.open("ab") as file:
        file.write(frame(msgspec.msgpack.encode(["novelty", 1]), 1) + frame(msgspec.msgpack.encode(request(2)), 2))
    border = frames(path)[2].end
    records, lost = read(tmp_path, LogReader(tmp_path, {"w0": (1, 0, border)}))
    assert (ids(records), lost) == (["r2"], [])


def test_the_lag_is_the_bytes_behind_the_position(log: Path) -> None:
    reader = LogReader(log)
    size = sum(path.stat().st_size for path in paths(log))
    assert reader.lag_bytes() == size
    read(log, reader)
    assert reader.lag_bytes() == 0


# --- following ----------------------------------------------------------------------------------------------------


def test_a_reader_that_follows_a_living_writer_sees_every_record_once(tmp_path: Path) -> None:
    async def run() -> list[str]:
        reader, seen = LogReader(tmp_path), []
        async with writer(tmp_path, rotation=SMALL) as log:
            for number in range(N):
                await log.append_request(request(number))
                if number % 3 == 0:
                    records, lost = read(tmp_path, reader)
                    assert lost == []
                    seen += ids(records)
        return seen + ids(read(tmp_path, reader)[0])

    assert asyncio.run(run()) == ALL


def test_a_frame_that_is_written_byte_by_byte_is_waited_for(tmp_path: Path) -> None:
    path = segment(tmp_path, [(0, request(0))])
    whole = frame(msgspec.msgpack.encode(request(1)), 1)
    reader = LogReader(tmp_path)
    assert ids(read(tmp_path, reader)[0]) == ["r0"]
    for place, byte in enumerate(whole):
        with path.open("ab") as file:
            file.write(bytes([byte]))
        records, lost = read(tmp_path, reader)
        assert lost == []
        assert ids(records) == (["r1"] if place == len(whole) - 1 else [])


def test_a_client_cannot_write_records_with_values_that_look_like_frames(tmp_path: Path) -> None:
    """Frames that straddle the border of a read are seen in part; nothing inside them is a frame."""
    forged = frame(msgspec.msgpack.encode(request(666)), 0)
    rows = [request(number, text=(forged * 40).decode("latin-1")) for number in range(600)]
    write(tmp_path, rows)
    assert paths(tmp_path)[0].stat().st_size > 2 * READ_BYTES
    records, lost = read(tmp_path)
    assert (ids(records), lost) == (names(*range(600)), [])


def test_a_frame_larger_than_one_read_is_read_whole(tmp_path: Path) -> None:
    large = request(1, text="x" * (3 * READ_BYTES))
    write(tmp_path, [request(0), large, request(2)])
    records, lost = read(tmp_path)
    assert (ids(records), lost) == (["r0", "r1", "r2"], [])
    assert records[1] == large


# --- damages ------------------------------------------------------------------------------------------------------


def test_a_flipped_bit_anywhere_loses_at_most_its_own_record_and_is_reported(log: Path) -> None:
    path, random_ = paths(log)[1], random.Random(1)
    whole, inside = path.read_bytes(), requests_in(path)
    for _ in range(60):
        offset = random_.randrange(len(whole))
        hit = next(one for one in frames(path) if one.offset <= offset < one.end)
        victim = decode(hit.payload)
        flip(path, offset)
        records, lost = read(log)
        missing = [name for name in ALL if name not in ids(records)]
        assert missing == ([victim.request_id] if isinstance(victim, Request) else []), f"byte {offset}"
        assert set(missing) <= set(inside)
        assert exact(lost) == len(missing), f"byte {offset}"
        assert any("corrupt" in hole.reason or hole.reason == "torn" for hole in lost)
        path.write_bytes(whole)


def test_corrupt_bytes_in_the_middle_are_reported_with_place_extent_and_the_exact_number_of_records(log: Path) -> None:
    path = paths(log)[0]
    first, last = frames(path)[2], frames(path)[3]
    damaged = path.read_bytes()[: first.offset] + b"?" * (last.end - first.offset) + path.read_bytes()[last.end :]
    path.write_bytes(damaged)
    records, lost = read(log)
    assert ids(records) == [name for name in ALL if name not in ("r1", "r2")]
    assert [(hole.reason, hole.records) for hole in lost] == [
        (f"corrupt {last.end - first.offset} bytes at {first.offset}", None),
        ("gap", 2),
    ]


def test_a_torn_tail_of_a_sealed_segment_is_reported_with_the_exact_number_of_records(log: Path) -> None:
    path = paths(log)[1]
    last = [one for one in frames(path) if isinstance(decode(one.payload), Request)][-1]
    os.truncate(path, last.offset + 7)
    lost_name = decode(last.payload).request_id  # type: ignore[union-attr]
    records, lost = read(log)
    assert ids(records) == [name for name in ALL if name != lost_name]
    assert [(hole.reason, hole.records) for hole in lost] == [("torn", None), ("gap", 1)]


def test_a_torn_tail_of_the_newest_segment_is_a_write_in_progress(log: Path) -> None:
    os.truncate(paths(log)[-1], paths(log)[-1].stat().st_size - 1)
    records, lost = read(log)
    assert (ids(records), lost) == (ALL, [])


def test_a_zero_filled_tail_of_a_sealed_segment_is_torn(log: Path) -> None:
    with paths(log)[0].open("ab") as file:
        file.write(bytes(500))
    records, lost = read(log)
    assert ids(records) == ALL
    assert [(hole.reason, hole.records) for hole in lost] == [("torn", None)]


def test_a_missing_segment_is_one_hole_with_the_exact_number_of_records(log: Path) -> None:
    gone = paths(log)[2]
    inside = requests_in(gone)
    gone.unlink()
    records, lost = read(log)
    assert ids(records) == [name for name in ALL if name not in inside]
    assert [(hole.reason, hole.records) for hole in lost] == [("segment missing", None), ("gap", len(inside))]


def test_a_missing_segment_before_an_empty_one_is_known_from_the_head(log: Path) -> None:
    *_, newest = paths(log)
    head, seal = frames(newest)[0], frames(newest)[-1]
    assert isinstance(decode(head.payload), Head) and isinstance(decode(seal.payload), Seal)
    inside = requests_in(newest)
    newest.write_bytes(newest.read_bytes()[: head.end] + newest.read_bytes()[seal.offset :])
    assert exact(read(log)[1]) == len(inside) + 1  # and the ledger


def test_a_missing_first_segment_of_an_epoch_is_a_hole_with_the_exact_number_of_records(log: Path) -> None:
    write(log, [request(number + 100) for number in range(N)], rotation=SMALL)
    gone = next(path for path in paths(log) if path.name.startswith("00000002"))
    inside = requests_in(gone)
    gone.unlink()
    records, lost = read(log)
    assert len(ids(records)) == 2 * N - len(inside)
    assert [(hole.epoch, hole.reason, hole.records) for hole in lost] == [
        (2, "segment missing", None),
        (2, "gap", len(inside)),
    ]


def test_a_position_in_a_segment_that_is_gone_is_one_hole(log: Path) -> None:
    reader = LogReader(log)
    while (positions := reader.positions).get("w0", (0, 0, 0)) <= (1, 1, 0):
        reader.read(1)
    paths(log)[1].unlink()
    _, lost = read(log, LogReader(log, positions))
    assert [(hole.reason, hole.records) for hole in lost] == [("segment missing", None)]


def test_an_epoch_that_is_missing_is_a_hole(tmp_path: Path) -> None:
    for _ in range(3):
        write(tmp_path, [request(0)])
    (tmp_path / "w0" / segment_name(2, 0)).unlink()
    assert [hole.reason for hole in read(tmp_path)[1]] == ["segment missing"]


def test_a_zero_length_segment_is_nothing(tmp_path: Path) -> None:
    write(tmp_path, [request(0)])
    (tmp_path / "w0" / segment_name(2, 0)).touch()
    reader = LogReader(tmp_path)
    assert read(tmp_path, reader)[1] == []
    write(tmp_path, [request(1)])
    records, lost = read(tmp_path, reader)
    assert (ids(records), lost) == (["r1"], [])


def test_foreign_files_and_directories_are_left_alone(log: Path) -> None:
    (log / "w0" / "00000001-00000000.seg.torn").write_bytes(b"junk")
    (log / "w0" / "000000001-00000000.seg").write_bytes(paths(log)[0].read_bytes())
    (log / "README").write_text("junk")
    shutil.copytree(log / "w0", log / "backup-of-w0")
    records, lost = read(log)
    assert (ids(records), lost) == (ALL, [])


def test_a_segment_that_stands_there_twice_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, [request(number) for number in range(3)])
    path = paths(tmp_path)[0]
    shutil.copy(path, path.with_name(segment_name(1, 1)))
    records, lost = read(tmp_path)
    assert ids(records) == ["r0", "r1", "r2"]
    assert [(hole.number, hole.records) for hole in lost] == [(1, 0)]
    assert lost[0].reason == "of another place: its HEAD says w0 1-0"


def test_of_a_segment_of_another_writer_nothing_is_read_and_it_is_named(log: Path) -> None:
    segment(log / "other", [(number, request(666)) for number in range(40)], epoch=3, number=7)
    victim = paths(log)[1]
    inside = requests_in(victim)
    shutil.copy(log / "other" / "w0" / segment_name(3, 7), victim)
    records, lost = read(log)
    assert ids(records) == [name for name in ALL if name not in inside]
    assert [(hole.reason, hole.records) for hole in lost] == [
        ("of another place: its HEAD says w0 3-7", 0),
        ("gap", len(inside)),
    ]


def test_a_payload_that_this_version_does_not_know_is_reported_and_skipped(tmp_path: Path) -> None:
    path = segment(tmp_path, [(0, request(0))])
    with path.open("ab") as file:
        file.write(frame(msgspec.msgpack.encode(["novelty", 1]), 1))  # a record or not: who can tell
        file.write(frame(msgspec.msgpack.encode(request(1)), 1))
    records, lost = read(tmp_path)
    assert ids(records) == ["r0", "r1"]
    assert len(lost) == 1 and "novelty" in lost[0].reason


def test_a_schema_of_an_earlier_epoch_never_explains_a_later_one(tmp_path: Path) -> None:
    segment(tmp_path, [(0, SCHEMA), (0, msgspec.structs.replace(request(0), schema=0))])
    second = segment(
        tmp_path,
        [(0, msgspec.structs.replace(SCHEMA, version="2")), (0, msgspec.structs.replace(request(1), schema=0))],
        epoch=2,
    )
    flip(second, frames(second)[1].offset + 25)  # the second epoch's schema is unreadable
    runs = [run for chunk in chunks(LogReader(tmp_path)) for run in chunk.runs]
    assert [run.schemas for run in runs] == [{0: SCHEMA}, {}]


def test_more_garbage_than_any_frame_is_skipped_and_what_stands_behind_it_is_read(tmp_path: Path) -> None:
    path = segment(tmp_path, [(0, request(0))])
    os.truncate(path, path.stat().st_size + FRAME_BYTES_MAX + PAYLOAD_BYTES_MAX)  # a hole of zeros
    with path.open("ab") as file:
        file.write(frame(msgspec.msgpack.encode(request(1)), 1))
    records, lost = read(tmp_path)
    assert ids(records) == ["r0", "r1"]
    assert {hole.reason.split()[0] for hole in lost} == {"corrupt"}


def random_cut(data: bytes, random_: random.Random) -> bytes:
    return data[: random_.randrange(len(data))]


def random_flip(data: bytes, random_: random.Random) -> bytes:
    place = random_.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << random_.randrange(8)]) + data[place + 1 :]


def random_block(data: bytes, random_: random.Random) -> bytes:
    start = random_.randrange(len(data))
    return data[:start] + random_.randbytes(50) + data[start + 50 :]


@pytest.mark.parametrize("damage", [random_cut, random_flip, random_block])
def test_whatever_is_done_to_a_file_nothing_is_raised_invented_repeated_or_reordered(
    log: Path, damage: Callable[[bytes, random.Random], bytes]
) -> None:
    for seed in range(40):
        random_ = random.Random(seed)
        path = random_.choice(paths(log))
        whole = path.read_bytes()
        path.write_bytes(damage(whole, random_))
        seen = ids(read(log)[0])
        assert [name for name in ALL if name in set(seen)] == seen, f"seed {seed}"
        path.write_bytes(whole)


# --- several writers ----------------------------------------------------------------------------------------------


def two_writers(root: Path, times: list[list[int]]) -> None:
    async def run() -> None:
        async with writer(root) as first, writer(root) as second:
            for log, own in zip((first, second), times, strict=True):
                for at_us in own:
                    log.append_request(request(at_us, text="x" * 400))
                    log.flush()

    asyncio.run(run())


def at_us(root: Path, records_max: int) -> list[list[int]]:
    """The event times of each chunk."""
    return [
        [record.at_us for run in chunk.runs for _, record in run.records if isinstance(record, Request)]
        for chunk in chunks(LogReader(root), records_max)
    ]


@pytest.mark.parametrize("records_max", [50, 500, 100_000])
def test_a_reader_that_catches_up_sees_the_writers_side_by_side(tmp_path: Path, records_max: int) -> None:
    """One writer's log is much longer than a read, the other's shorter than one."""
    two_writers(tmp_path, [list(range(1, 6000)), list(range(1, 6000, 40))])
    handed = at_us(tmp_path, records_max)
    assert sorted(time for chunk in handed for time in chunk) == sorted([*range(1, 6000), *range(1, 6000, 40)])
    newest = 0
    for chunk in handed:
        if chunk:
            assert min(chunk) >= newest - 40 or len(handed) == 1  # nothing comes later than what is newer
            newest = max(newest, *chunk)


def test_no_writer_is_starved_by_one_that_has_always_more(tmp_path: Path) -> None:
    two_writers(tmp_path, [list(range(10_000, 16_000)), [1, 2, 3]])
    first = at_us(tmp_path, 10)[0]
    assert first[-3:] == [1, 2, 3] or first[:3] == [1, 2, 3]


def test_the_records_of_each_writer_stay_in_order_and_are_all_there(tmp_path: Path) -> None:
    random_ = random.Random(7)
    times = [[random_.randrange(1000) for _ in range(300)] for _ in range(2)]
    two_writers(tmp_path, times)
    for records_max in (1, 7, 1000):
        seen: dict[str, list[int]] = {"w0": [], "w1": []}
        for chunk in chunks(LogReader(tmp_path), records_max):
            for run in chunk.runs:
                seen[run.writer] += [record.at_us for _, record in run.records if isinstance(record, Request)]
        assert [seen["w0"], seen["w1"]] == times


def test_a_run_holds_records_of_one_epoch_under_one_set_of_schemas(tmp_path: Path) -> None:
    async def run() -> None:
        for epoch in range(2):
            async with writer(tmp_path) as log:
                for number in range(4):
                    schema = log.schema_id(msgspec.structs.replace(SCHEMA, version=f"{epoch}.{number // 2}"))
                    await log.append_request(msgspec.structs.replace(request(number), schema=schema))

    asyncio.run(run())
    runs = [run for chunk in chunks(LogReader(tmp_path)) for run in chunk.runs]
    for one in runs:
        for _, record in one.records:
            if isinstance(record, Request):
                expected = f"{one.epoch - 1}.{int(record.request_id[1:]) // 2}"
                assert isinstance(one.schemas[record.schema], Schema)
                assert one.schemas[record.schema].version == expected


def test_a_clock_that_never_moves_does_not_hand_out_more_than_was_asked_for(tmp_path: Path) -> None:
    write(tmp_path, [request(number, at_us=5) for number in range(N)], rotation=NEVER)
    found = chunks(LogReader(tmp_path), 4)
    assert max(sum(len(run.records) for run in chunk.runs) for chunk in found) == 4
