"""Real files and real faults: a limit on file size (EFBIG), a full device (ENOSPC), a descriptor that is gone (EBADF)."""

import asyncio
import os
import resource
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.contract import Kind
from service.featurelog import framing
from service.featurelog.errors import LogUnwritable
from service.featurelog.files import list_segments
from service.featurelog.framing import Frame, scan
from service.featurelog.reader import LogReader
from service.featurelog.record import (
    Feedback,
    Head,
    Ledger,
    Outcome,
    Payload,
    Request,
    Schema,
    SchemaColumn,
    Seal,
    decode,
)
from service.featurelog.segments import Rotation
from service.featurelog.writer import FeatureLog
from tests.unit.service.featurelog.writing import NEVER, SCHEMA, chunks, ids, read, request, write, writer

DEADLINE_S = 10.0


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Writes beyond `size` bytes of a file are cut short, then fail with EFBIG."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def descriptor_of(path: Path) -> int:
    """The descriptor that this process has open on a file."""
    entries = Path("/proc/self/fd").iterdir()
    return next(int(entry.name) for entry in entries if os.path.realpath(entry) == str(path.resolve()))


@contextmanager
def full_device(path: Path) -> Iterator[None]:
    """Whoever has `path` open writes into a device that has no space and cannot be cut."""
    descriptor = descriptor_of(path)
    kept, full = os.dup(descriptor), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, descriptor)
    os.close(full)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)


def payloads(path: Path) -> list[tuple[int, Payload]]:
    """(seq, payload) of every frame of a segment; fails on damage."""
    frames = list(scan(path.read_bytes()))
    assert all(isinstance(found, Frame) for found in frames)
    return [(found.seq, decode(found.payload)) for found in frames if isinstance(found, Frame)]


def everything(directory: Path) -> list[tuple[int, Payload]]:
    return [pair for segment in list_segments(directory) for pair in payloads(segment.path)]


def adds_up(log: FeatureLog) -> None:
    """P3 at this moment."""
    assert log.received == log.outcomes.total()
    for outcome in Outcome:
        assert log.outcomes[outcome] == log.logged[outcome] + log.dropped[outcome].total()


def test_an_acknowledged_record_is_in_the_file_when_its_future_is_done(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path) as log:
            waiting = [log.append_request(request(number)) for number in range(5)]
            assert not any(one.done() for one in waiting)
            assert all(await asyncio.gather(*waiting))
            assert ids(read(tmp_path)[0]) == [f"r{number}" for number in range(5)]

    asyncio.run(run())


def test_all_records_of_a_tick_leave_in_one_write(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path) as log:
            path = list_segments(log.directory)[0].path
            before = path.stat().st_size
            waiting = [log.append_request(request(number)) for number in range(100)]
            assert path.stat().st_size == before
            await waiting[0]
            assert all(one.done() for one in waiting)

    asyncio.run(run())


def test_a_caller_that_is_cancelled_while_it_waits_takes_nobody_with_it(tmp_path: Path) -> None:
    async def wait(log: FeatureLog, number: int) -> bool:
        return await log.append_request(request(number))

    async def run() -> None:
        async with writer(tmp_path) as log:
            tasks = [asyncio.create_task(wait(log, number)) for number in range(3)]
            await asyncio.sleep(0)  # all three wait for the same write
            tasks[1].cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert results[0] is True and results[2] is True
            assert isinstance(results[1], asyncio.CancelledError)
            adds_up(log)
        assert ids(read(tmp_path)[0]) == ["r0", "r1", "r2"]

    asyncio.run(run())


def test_seq_is_dense_over_records_and_other_frames_carry_that_of_the_next(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path, rotation=Rotation(400, 1e9)) as log:
            for number in range(30):
                log.schema_id(msgspec.structs.replace(SCHEMA, version=str(number // 10)))
                await log.append_request(request(number))

    asyncio.run(run())
    expected = 0
    for seq, payload in everything(tmp_path / "w0"):
        assert seq == expected
        expected += not isinstance(payload, Head | Schema | Seal)
    assert expected == 31  # 30 requests and the last ledger
    assert len(list_segments(tmp_path / "w0")) > 3


def test_every_segment_declares_its_schemas_before_the_first_record_and_ends_with_a_seal(tmp_path: Path) -> None:
    schemas = [msgspec.structs.replace(SCHEMA, digest=f"sha256:{i:064}", version=str(i)) for i in range(3)]

    async def run() -> list[int]:
        async with writer(tmp_path, rotation=Rotation(600, 1e9)) as log:
            known = [log.schema_id(schema) for schema in schemas]
            for number in range(30):
                schema = log.schema_id(schemas[number % 3])
                await log.append_request(msgspec.structs.replace(request(number), schema=schema))
            return known

    assert asyncio.run(run()) == [0, 1, 2]
    segments = list_segments(tmp_path / "w0")
    assert len(segments) > 3
    for place, segment in enumerate(segments):
        found = [payload for _, payload in payloads(segment.path)]
        head, seal, declared = found[0], found[-1], {}
        assert isinstance(head, Head) and (head.writer, head.epoch, head.number) == ("w0", 1, place)
        assert isinstance(seal, Seal)
        records = [p for p in found if not isinstance(p, Head | Schema | Seal)]
        assert seal.records == len(records)
        for payload in found:
            if isinstance(payload, Schema):
                declared[payload.id] = payload.digest
            if isinstance(payload, Request):
                assert declared[payload.schema] == schemas[payload.schema].digest


def test_the_same_bytes_under_two_names_are_two_schemas(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path) as log:
            known = [log.schema_id(msgspec.structs.replace(SCHEMA, version=version)) for version in ("1", "2", "1")]
            assert known == [0, 1, 0]

    asyncio.run(run())


def test_a_segment_is_rotated_by_size(tmp_path: Path) -> None:
    write(tmp_path, [request(number) for number in range(50)], rotation=Rotation(1000, 1e9))
    sizes = [segment.path.stat().st_size for segment in list_segments(tmp_path / "w0")]
    assert len(sizes) > 3
    assert max(sizes) < 1000 + 200  # the limit, one record and a seal


def test_a_segment_is_rotated_by_age_when_it_is_written_to(tmp_path: Path) -> None:
    write(tmp_path, [request(number) for number in range(3)], rotation=Rotation(1 << 40, 0.0))
    assert len(list_segments(tmp_path / "w0")) == 5  # one a record and one a ledger, and the one that is open


def test_each_opening_is_a_new_epoch_that_numbers_from_zero(tmp_path: Path) -> None:
    for _ in range(3):
        write(tmp_path, [request(0)])
    assert [segment.key for segment in list_segments(tmp_path / "w0")] == [(1, 0), (2, 0), (3, 0)]
    records, lost = read(tmp_path)
    assert (len(ids(records)), lost) == (3, [])


def test_a_second_writer_takes_a_directory_of_its_own(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path) as first, writer(tmp_path) as second:
            assert (first.writer, second.writer) == ("w0", "w1")

    asyncio.run(run())


def test_opening_cuts_a_torn_tail_and_says_how_much(tmp_path: Path) -> None:
    write(tmp_path, [request(0)])
    path = list_segments(tmp_path / "w0")[0].path
    with path.open("ab") as file:
        file.write(framing.frame(b"torn", 9)[:-2])

    async def run() -> int:
        async with writer(tmp_path) as log:
            return log.torn_bytes

    assert asyncio.run(run()) == 22
    assert read(tmp_path)[1] == []


def test_closing_writes_the_last_account_and_seals(tmp_path: Path) -> None:
    write(tmp_path, [request(0), request(1, Outcome.SHED), Feedback(0, "r0", 0, 1.0, 0)])
    *_, (_, ledger), (seq, seal) = everything(tmp_path / "w0")
    assert ledger == Ledger(
        0, 2, {"answered": 1, "shed": 1}, {"answered": 1, "shed": 1}, {outcome.value: {} for outcome in Outcome}
    )
    assert (seq, seal) == (4, Seal(4, 3))


def test_what_comes_after_closing_is_counted_as_lost_and_touches_no_other_file(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path) as log:
            descriptor = descriptor_of(list_segments(log.directory)[0].path)
        other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
        os.dup2(other, descriptor)  # somebody else gets the number that the log had
        assert not await log.append_request(request(1))
        adds_up(log)
        assert (tmp_path / "other").read_bytes() == b""
        os.close(descriptor)

    asyncio.run(run())


def test_the_ledger_is_written_when_a_second_of_the_clock_has_passed_also_backwards(tmp_path: Path) -> None:
    now_us = [10_000_000]

    def ledgers() -> int:
        return sum(isinstance(record, Ledger) for record in read(tmp_path)[0])

    async def until(count: int) -> None:
        deadline_s = asyncio.get_running_loop().time() + DEADLINE_S
        while ledgers() < count:
            assert asyncio.get_running_loop().time() < deadline_s, f"{ledgers()} ledgers, expected {count}"
            await asyncio.sleep(0.001)

    async def run() -> None:
        async with writer(tmp_path, fsync_interval_s=0.001, clock_us=lambda: now_us[0]) as log:
            keeping = asyncio.create_task(log.keep())
            await until(1)
            now_us[0] += 1_000_000
            await until(2)
            now_us[0] -= 5_000_000
            await until(3)
            keeping.cancel()
        assert ledgers() == 4  # and the one of closing

    asyncio.run(run())


# --- faults -------------------------------------------------------------------------------------------------------


def test_of_a_short_write_the_whole_frames_stay_and_the_rest_is_counted(tmp_path: Path) -> None:
    async def run() -> list[bool]:
        async with writer(tmp_path) as log:
            size = list_segments(log.directory)[0].path.stat().st_size
            frame_bytes = len(framing.frame(msgspec.msgpack.encode(request(0)), 0))
            with file_size_limit(size + 2 * frame_bytes + 5):
                waiting = [log.append_request(request(number)) for number in range(5)]
                written = [await one for one in waiting]
                adds_up(log)
                assert log.last_error is not None
            assert log.dropped["answered"] == {"os_error": 3}
            assert await log.append_request(request(5))
            assert log.last_error is None
            return written

    assert asyncio.run(run()) == [True, True, False, False, False]
    records, lost = read(tmp_path)
    assert (ids(records), lost) == (["r0", "r1", "r5"], [])


def test_a_reader_that_looks_in_between_never_sees_a_record_that_is_then_taken_back(tmp_path: Path) -> None:
    async def run() -> None:
        reader, seen = LogReader(tmp_path), []
        async with writer(tmp_path) as log:
            for number in range(40):
                size = list_segments(log.directory)[0].path.stat().st_size
                with file_size_limit(size + number * 7):
                    waiting = [log.append_request(request(number * 10 + i)) for i in range(5)]
                    await asyncio.gather(*waiting)
                seen += ids(read(tmp_path, reader)[0])
                adds_up(log)
            assert len(seen) == log.logged["answered"]
        assert seen == ids(read(tmp_path)[0])

    asyncio.run(run())


def test_a_schema_whose_declaration_was_cut_is_declared_again(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path) as log:
            schema = log.schema_id(SCHEMA)
            size = list_segments(log.directory)[0].path.stat().st_size
            with file_size_limit(size + 30):
                assert not await log.append_request(msgspec.structs.replace(request(0), schema=schema))
            assert await log.append_request(msgspec.structs.replace(request(1), schema=schema))

    asyncio.run(run())
    run_ = chunks(LogReader(tmp_path))[0].runs[0]
    assert run_.schemas[0].digest == SCHEMA.digest


def test_where_a_write_fails_and_cannot_be_cut_the_next_goes_to_a_new_segment(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path) as log:
            path = list_segments(log.directory)[0].path
            with full_device(path):
                assert not await log.append_request(request(0))
            assert log.dropped["answered"] == {"no_space": 1}
            assert await log.append_request(request(1))
            adds_up(log)

    asyncio.run(run())
    records, lost = read(tmp_path)
    assert (ids(records), lost) == (["r1"], [])


@contextmanager
def narrow_pipe(path: Path) -> Iterator[None]:
    """Whoever has `path` open writes into a pipe: it takes the beginning of a write and cannot be cut."""
    descriptor = descriptor_of(path)
    kept, (out, into) = os.dup(descriptor), os.pipe()
    os.set_blocking(into, False)
    os.dup2(into, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        for one in (kept, out, into):
            os.close(one)


def test_into_a_segment_with_a_torn_end_that_cannot_be_cut_nothing_more_is_written(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path) as log:
            path = list_segments(log.directory)[0].path
            with narrow_pipe(path):
                assert not await log.append_request(request(0, text="x" * 1_000_000))
            size = path.stat().st_size
            blocked = log.directory / "00000001-00000001.seg.new"
            blocked.mkdir()
            assert not await log.append_request(request(1))  # and no other segment can be opened
            assert log.last_error is not None
            blocked.rmdir()
            assert await log.append_request(request(2))
            adds_up(log)
            assert log.dropped["answered"] == {"os_error": 1, "io_error": 1}
            assert path.stat().st_size == size
            assert len(list_segments(log.directory)) == 2

    asyncio.run(run())
    records, lost = read(tmp_path)
    assert (ids(records), lost) == (["r2"], [])


def test_a_rotation_that_fails_leaves_the_old_segment_in_use_and_unsealed(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path, rotation=Rotation(300, 1e9)) as log:
            path = list_segments(log.directory)[0].path
            blocked = log.directory / "00000001-00000001.seg.new"
            blocked.mkdir()  # no new segment can be made under this name
            for number in range(10):
                assert await log.append_request(request(number))
            assert log.last_error is not None
            assert [segment.path for segment in list_segments(log.directory)] == [path]
            assert not any(isinstance(payload, Seal) for _, payload in payloads(path))
            blocked.rmdir()
            assert await log.append_request(request(10))
            assert log.last_error is None
            assert len(list_segments(log.directory)) == 2

    asyncio.run(run())
    records, lost = read(tmp_path)
    assert (ids(records), lost) == ([f"r{number}" for number in range(11)], [])


def test_a_log_that_cannot_be_opened_says_where_and_lets_the_directory_go(tmp_path: Path) -> None:
    async def run() -> None:
        with file_size_limit(5), pytest.raises(LogUnwritable, match="w0: cannot be written"):
            FeatureLog(tmp_path, rotation=NEVER, fsync_interval_s=0.5, clock_us=lambda: 0)
        assert [path.name for path in (tmp_path / "w0").iterdir()] == ["lock"]  # a segment has its HEAD or is not there
        async with writer(tmp_path) as log:
            assert log.writer == "w0"
        (tmp_path / "file").touch()
        with pytest.raises(LogUnwritable, match="file"):
            FeatureLog(tmp_path / "file", rotation=NEVER, fsync_interval_s=0.5, clock_us=lambda: 0)

    asyncio.run(run())


def test_where_nothing_may_be_answered_unlogged_a_lost_answer_is_a_failure_and_a_rejection_stays_one(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        async with writer(tmp_path, refuse_unlogged=True) as log:
            with file_size_limit(1):
                assert not await log.append_request(request(0))
                assert not await log.append_request(request(1, Outcome.REJECTED))
            adds_up(log)
            assert log.outcomes == Counter(failed=1, rejected=1)
            assert (log.dropped["failed"], log.dropped["rejected"]) == ({"os_error": 1}, {"os_error": 1})

    asyncio.run(run())
    *_, (_, ledger), _ = everything(tmp_path / "w0")
    assert isinstance(ledger, Ledger) and ledger.outcomes["answered"] == 0


def test_a_record_that_no_reader_would_take_is_dropped_by_name_and_the_next_is_written(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path) as log:
            huge = log.append_request(request(0, text="x" * framing.PAYLOAD_BYTES_MAX))
            assert await log.append_request(request(1))
            assert not await huge
            assert log.dropped["answered"] == {"too_large": 1}
            adds_up(log)

    asyncio.run(run())
    assert ids(read(tmp_path)[0]) == ["r1"]


def test_more_than_the_backlog_in_one_tick_is_dropped_by_name(tmp_path: Path) -> None:
    text = "x" * (24 << 20)

    async def run() -> None:
        async with writer(tmp_path) as log:
            waiting = [log.append_request(request(number, text=text)) for number in range(3)]
            assert [await one for one in waiting] == [True, True, False]
            assert log.dropped["answered"] == {"backlog": 1}
            adds_up(log)

    asyncio.run(run())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("request"), st.sampled_from(Outcome), st.integers(0, 300)),
        st.tuples(st.just("other"), st.just(Outcome.ANSWERED), st.integers(0, 50)),
        st.tuples(st.just("flush"), st.just(Outcome.ANSWERED), st.integers(0, 400)),
        st.tuples(st.just("ledger"), st.just(Outcome.ANSWERED), st.just(0)),
        st.tuples(st.just("schema"), st.just(Outcome.ANSWERED), st.integers(0, 3)),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.booleans())
def test_the_identities_hold_after_every_flush_whatever_was_written_and_whatever_failed(
    tmp_path: Path, steps: list[tuple[str, Outcome, int]], refuse: bool
) -> None:
    """`flush` may write so many bytes and no more; then the disk is well again."""
    root = tmp_path / os.urandom(6).hex()

    async def run() -> tuple[list[str], FeatureLog]:
        acknowledged, number = [], 0
        async with writer(root, rotation=Rotation(700, 1e9), refuse_unlogged=refuse) as log:
            pending: list[tuple[str, asyncio.Future[bool]]] = []
            for step, outcome, size in [*steps, ("flush", Outcome.ANSWERED, 1 << 20)]:
                if step == "request":
                    number += 1
                    record = request(number, outcome, text="x" * size)
                    pending.append((record.request_id, log.append_request(record)))
                elif step == "other":
                    log.append(Feedback(0, "x" * size, 0, None, 0))
                elif step == "ledger":
                    log.append_ledger()
                elif step == "schema":
                    log.schema_id(msgspec.structs.replace(SCHEMA, version=str(size)))
                else:
                    open_segment = list_segments(log.directory)[-1].path.stat().st_size
                    with file_size_limit(open_segment + size):
                        log.flush()
                        adds_up(log)
                    everything(log.directory)  # every segment ends at a whole frame
                    acknowledged += [name for name, one in pending if one.result()]
                    pending = []
        adds_up(log)
        return acknowledged, log

    acknowledged, log = asyncio.run(run())
    records, lost = read(root)
    assert ids(records) == acknowledged
    assert lost == []
    assert Counter(r.outcome for r in records if isinstance(r, Request)) == +log.logged
    said = [record for record in records if isinstance(record, Ledger)][-1]
    assert (said.received, dict(said.outcomes), dict(said.logged)) == (log.received, log.outcomes, log.logged)


def test_the_columns_of_a_schema_are_declared_as_they_were_given(tmp_path: Path) -> None:
    schema = Schema(7, "m", "1", "d", (SchemaColumn("city", Kind.STRING, ("oslo", "rome")),), ())

    async def run() -> None:
        async with writer(tmp_path) as log:
            log.schema_id(schema)
            await log.append_request(request(0))

    asyncio.run(run())
    assert chunks(LogReader(tmp_path))[0].runs[0].schemas == {0: msgspec.structs.replace(schema, id=0)}
