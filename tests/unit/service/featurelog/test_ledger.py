"""A table of damages: what `plumbline log verify` says of each."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from service.featurelog.files import list_segments
from service.featurelog.framing import Frame, frame, scan
from service.featurelog.ledger import Audit, audit
from service.featurelog.record import Ledger, Outcome, Request, decode, encode
from service.featurelog.segments import Rotation
from tests.unit.service.featurelog.test_writer import file_size_limit
from tests.unit.service.featurelog.writing import request, segment, write, writer

NO_DROPS = {outcome.value: {} for outcome in Outcome}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two epochs of twenty requests each in small segments, every fourth rejected."""
    for _ in range(2):
        records = [request(n, Outcome.ANSWERED if n % 4 else Outcome.REJECTED) for n in range(20)]
        write(tmp_path, records, rotation=Rotation(400, 1e9))
    return tmp_path


def paths(root: Path) -> list[Path]:
    return [one.path for one in list_segments(root / "w0")]


def frames(path: Path, kind: type = object) -> list[Frame]:
    return [one for one in scan(path.read_bytes()) if isinstance(one, Frame) and isinstance(decode(one.payload), kind)]


def test_a_whole_log_adds_up_over_epochs_and_writers(log: Path) -> None:
    found = audit(log)
    assert found.whole
    assert found.outcomes == {"answered": 30, "rejected": 10, "shed": 0, "failed": 0}
    assert (found.received, found.answered, found.logged, found.log_dropped) == (40, 30, 30, {})


def test_the_object_for_programs_has_the_fields_that_the_design_names(log: Path) -> None:
    said = audit(log).as_json()
    assert {"answered", "logged", "log_dropped", "gaps", "corrupt"} <= said.keys()
    assert (said["answered"], said["ok"]) == (30, True)


def test_an_empty_log_is_whole(tmp_path: Path) -> None:
    assert audit(tmp_path).whole
    assert audit(tmp_path).received == 0


def test_what_was_dropped_stands_in_the_account_with_its_reason(tmp_path: Path) -> None:
    async def run() -> None:
        async with writer(tmp_path) as log:
            await log.append_request(request(0))
            with file_size_limit(1):
                await log.append_request(request(1))
                await log.append_request(request(2, Outcome.SHED))

    asyncio.run(run())
    found = audit(tmp_path)
    assert found.whole
    assert (found.answered, found.logged, found.log_dropped) == (2, 1, {"os_error": 1})
    assert found.dropped == {**NO_DROPS, "answered": {"os_error": 1}, "shed": {"os_error": 1}}


def test_records_behind_the_last_account_of_a_writer_that_was_killed_count_as_they_stand(tmp_path: Path) -> None:
    account = Ledger(0, 2, {"answered": 2}, {"answered": 2}, {})
    segment(tmp_path, [(0, request(0)), (1, request(1)), (2, account), (3, request(2)), (4, request(3))])
    found = audit(tmp_path)
    assert found.whole
    assert (found.answered, found.logged) == (4, 4)


def cut_the_middle(root: Path) -> None:
    path = paths(root)[1]
    hit = frames(path, Request)[0]
    data = path.read_bytes()
    path.write_bytes(data[: hit.offset] + data[hit.end :])


def flip_the_middle(root: Path) -> None:
    path = paths(root)[1]
    data = bytearray(path.read_bytes())
    data[frames(path, Request)[0].offset + 30] ^= 1
    path.write_bytes(bytes(data))


def remove_a_segment(root: Path) -> None:
    paths(root)[1].unlink()


def remove_the_end_of_an_epoch(root: Path) -> None:
    """The last segments of the first epoch, with its last account."""
    first = [one.path for one in list_segments(root / "w0") if one.epoch == 1]
    for path in reversed(first):
        gone = bool(frames(path, Ledger))
        path.unlink()
        if gone:
            return


def tear_a_sealed_segment(root: Path) -> None:
    path = paths(root)[1]
    os.truncate(path, frames(path, Request)[-1].offset + 5)


def add_a_record(root: Path) -> None:
    """A record that nobody accounted for: bytes that check, but the account says otherwise."""
    path = next(path for path in reversed(paths(root)) if frames(path, Ledger))
    hit = frames(path, Ledger)[0]
    data = path.read_bytes()
    forged = frame(encode(request(99)), hit.seq)
    moved = frame(bytes(hit.payload), hit.seq + 1)
    path.write_bytes(data[: hit.offset] + forged + moved + data[hit.end :])


def edit_the_account(**changed: object) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        path = next(path for path in reversed(paths(root)) if frames(path, Ledger))
        hit = frames(path, Ledger)[0]
        said = decode(hit.payload)
        assert isinstance(said, Ledger)
        data = path.read_bytes()
        edited = frame(encode(msgspec.structs.replace(said, **changed)), hit.seq)
        path.write_bytes(data[: hit.offset] + edited + data[hit.end :])

    return edit


@pytest.mark.parametrize(
    ("damage", "where", "what"),
    [
        (cut_the_middle, "gaps", "gap, 1 records"),
        (cut_the_middle, "differences", "logged 15, found 14"),
        (flip_the_middle, "corrupt", "corrupt"),
        (flip_the_middle, "gaps", "gap, 1 records"),
        (remove_a_segment, "gaps", "segment missing"),
        (remove_the_end_of_an_epoch, "gaps", "sealed without a last account: what followed it is missing"),
        (tear_a_sealed_segment, "corrupt", "torn"),
        (add_a_record, "differences", "answered logged 15, found 16"),
        (edit_the_account(received=21), "differences", "received 21, but outcomes add up to 20"),
        (
            edit_the_account(outcomes={"answered": 16, "rejected": 5}),
            "differences",
            "answered 16, but logged 15 and dropped 0",
        ),
        (
            edit_the_account(dropped={"answered": {"no_space": 2}}),
            "differences",
            "answered 15, but logged 15 and dropped 2",
        ),
    ],
    ids=lambda value: value.__name__ if callable(value) else str(value)[:30],
)
def test_a_damage_is_reported_where_it_belongs(
    log: Path, damage: Callable[[Path], None], where: str, what: str
) -> None:
    damage(log)
    found: Audit = audit(log)
    assert not found.whole
    assert not found.as_json()["ok"]
    assert any(what in line for line in getattr(found, where)), getattr(found, where)


def test_a_report_names_writer_epoch_and_segment(log: Path) -> None:
    flip_the_middle(log)
    assert all(line.startswith("w0 epoch 1 segment 1: ") for line in audit(log).corrupt)


def test_a_torn_tail_of_the_newest_segment_is_a_write_in_progress_and_no_damage(log: Path) -> None:
    os.truncate(paths(log)[-1], paths(log)[-1].stat().st_size - 3)
    assert audit(log).whole
