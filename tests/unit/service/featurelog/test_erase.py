"""What a clause names is gone from every file of the home, all else is what it was, also after a crash at any border."""

import asyncio
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.contract import Kind, Privacy
from service.featurelog.chunk import Positions
from service.featurelog.columns import feedback_rows, request_rows, shadow_rows
from service.featurelog.erase import SEARCH_BYTES, Eraser, Order, Report
from service.featurelog.errors import ErasureBusy, WhereInvalid
from service.featurelog.files import ROTATE, list_segments
from service.featurelog.framing import frame
from service.featurelog.ledger import audit
from service.featurelog.privacy import hashed
from service.featurelog.reader import LogReader
from service.featurelog.record import (
    Block,
    Erased,
    Feedback,
    Outcome,
    Record,
    Request,
    Schema,
    SchemaColumn,
    Shadow,
    encode,
)
from service.featurelog.segments import Rotation
from tests.unit.service.featurelog.writing import chunks, writer

pytestmark = pytest.mark.slow

KEY = b"k" * 32
COLUMNS = (SchemaColumn("customer", Kind.STRING), SchemaColumn("amount", Kind.FLOAT))
SCHEMA = Schema(0, "loans", "1", "sha256:" + "1" * 64, COLUMNS, (SchemaColumn("score", Kind.FLOAT),))
NARROW = Schema(1, "sums", "1", "sha256:" + "2" * 64, (SchemaColumn("amount", Kind.FLOAT),), ())
PEOPLE = [f"customer-{number}" for number in range(5)]
ROW = st.tuples(st.sampled_from(PEOPLE), st.floats(-10, 10, width=32))


def request(number: int, rows: list[tuple[str, float]], *, narrow: bool = False, outcome: str = "answered") -> Request:
    fields = (number, f"r{number}", Outcome(outcome), 200, "", "v1", int(narrow), "sums" if narrow else "loans")
    rest = ("stable", 1, 1, len(rows), 1, 2, 3)
    amounts = [amount for _, amount in rows]
    if outcome == "rejected":
        return Request(*fields, *rest)
    if narrow:
        return Request(*fields, *rest, Block(len(rows), struct.pack(f"<{len(rows)}f", *amounts)))
    cells = b"".join(struct.pack("<qd", -1, amount) for amount in amounts)
    text = [(place, 0, person) for place, (person, _) in enumerate(rows)]
    scores = Block(len(rows), struct.pack(f"<{len(rows)}d", *amounts))
    return Request(*fields, *rest, Block(len(rows), cells, None, text), scores)


def followers(number: int, rows: list[tuple[str, float]]) -> Iterator[Record]:
    scores = Block(len(rows), struct.pack(f"<{len(rows)}d", *(amount for _, amount in rows)))
    yield Shadow(number, f"r{number}", 0, Outcome.ANSWERED, "", len(rows), 5, scores)
    for place, (person, _) in enumerate(rows):
        yield Feedback(number, f"r{number}", place, f"label of {person}", number)


Requests = list[tuple[list[tuple[str, float]], bool, str]]
REQUESTS = st.lists(
    st.tuples(
        st.lists(ROW, min_size=1, max_size=4), st.booleans(), st.sampled_from(["answered", "failed", "rejected"])
    ),
    min_size=1,
    max_size=12,
)


def write(home: Path, requests: Requests, *, bytes_max: int = 600) -> None:
    """Two epochs of the same writer with everything in them."""

    async def epoch(some: Iterator[tuple[int, Any]]) -> None:
        async with writer(home / "log", rotation=Rotation(bytes_max, 1e9)) as log:
            assert [log.schema_id(schema) for schema in (SCHEMA, NARROW)] == [0, 1]
            for number, (rows, narrow, outcome) in some:
                assert await log.append_request(request(number, rows, narrow=narrow, outcome=outcome))
                if not narrow and outcome == "answered":
                    for record in followers(number, rows):
                        assert await log.append(record)

    half = len(requests) // 2
    numbered = list(enumerate(requests))
    for part in (numbered[:half], numbered[half:]):
        asyncio.run(epoch(iter(part)))


def erase(home: Path, where: str, *, model: str | None = None, step: Callable[[str], None] | None = None) -> Report:
    eraser = Eraser(home, Order(where, model, KEY, "tests"), wait_s=5)
    if step is not None:
        eraser._step = step
    return eraser.run()


def contents(home: Path) -> dict[tuple[str, Any], tuple[str, str]]:
    """Every row by table and key: of which request, and all of it as text."""
    found: dict[tuple[str, Any], tuple[str, str]] = {}
    for chunk in chunks(LogReader(home / "log")):
        assert chunk.lost == ()
        for run in chunk.runs:
            for seq, record in run.records:
                one = [(seq, record)]
                if isinstance(record, Request):
                    table = request_rows(run.writer, run.epoch, [(seq, record)], run.schemas[record.schema])[0]
                elif isinstance(record, Shadow):
                    table = shadow_rows(run.writer, run.epoch, [(seq, record)], run.schemas[record.schema])[0]
                elif isinstance(record, Feedback):
                    table = feedback_rows(run.writer, run.epoch, one)  # type: ignore[arg-type]
                else:
                    continue
                for row in table.to_pylist():
                    key = (row["writer"], row["epoch"], row["seq"], row["row"])
                    found[type(record).__name__.removeprefix("Part"), key] = (row["request_id"], repr(row))
    return found


CLAUSES: dict[str, Callable[[str | None, float], bool]] = {
    "customer = 'customer-1'": lambda person, _: person == "customer-1",
    "customer in ('customer-0', 'customer-4')": lambda person, _: person in ("customer-0", "customer-4"),
    "amount > 2.5": lambda _, amount: amount > 2.5,
    "customer = 'customer-2' and amount < 0": lambda person, amount: person == "customer-2" and amount < 0,
    "customer != 'customer-3' or amount = 1": lambda p, amount: (p is not None and p != "customer-3") or amount == 1,
}


def named(requests: Requests, clause: str) -> dict[str, set[int]]:
    """By request id the rows that a clause names, found without the code under test."""
    found: dict[str, set[int]] = {}
    for number, (rows, narrow, outcome) in enumerate(requests):
        if outcome != "rejected":
            hit = {i for i, (person, amount) in enumerate(rows) if CLAUSES[clause](None if narrow else person, amount)}
            if hit:
                found[f"r{number}"] = hit
    return found


ODD = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ODD
@given(requests=REQUESTS, clause=st.sampled_from(sorted(CLAUSES)))
def test_what_a_clause_names_is_gone_and_all_else_is_what_it_was(
    tmp_path_factory: pytest.TempPathFactory, requests: Requests, clause: str
) -> None:
    home = tmp_path_factory.mktemp("home")
    write(home, requests)
    before, gone, said = contents(home), named(requests, clause), audit(home / "log")
    ends = LogReader(home / "log")
    chunks(ends)
    sizes = {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in home.rglob("*.seg")}
    try:
        report = erase(home, clause)
    except WhereInvalid as error:
        assert "column" in str(error)  # no request of a version that has it
        assert not gone
        return

    stay = {key: row for key, row in before.items() if key[1][3] not in gone.get(row[0], set())}
    assert contents(home) == stay
    after = audit(home / "log")
    assert after.whole, after
    assert after.outcomes == said.outcomes
    again = LogReader(home / "log")
    chunks(again)
    assert again.positions == ends.positions
    assert {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in home.rglob("*.seg")} == sizes
    assert report.counts["rows"] == sum(map(len, gone.values()))
    assert (report.receipt is not None) == bool(gone)
    assert report.remains == ()
    assert erase(home, clause).counts["rows"] == 0


SOME: Requests = [
    ([("customer-1", 1.0), ("customer-2", 2.0)], False, "answered"),
    ([("customer-1", 3.0)], False, "answered"),
    ([("customer-3", 4.0)], False, "failed"),
    ([("customer-1", 5.0)], True, "answered"),
    ([("customer-2", 6.0), ("customer-1", 7.0), ("customer-1", 8.0)], False, "answered"),
]


COUNTS = {"requests": 3, "rows": 4, "followers": 7, "archived_rows": 0, "archived_followers": 0}


def holding(home: Path, needle: bytes = b"customer-1") -> list[str]:
    return [path.name for path in sorted(home.rglob("*")) if path.is_file() and needle in path.read_bytes()]


def test_no_byte_of_a_person_is_left(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    assert holding(tmp_path) != []
    report = erase(tmp_path, "customer = 'customer-1'")
    assert holding(tmp_path) == []
    assert holding(tmp_path, b"customer-2") != []
    assert report.counts == COUNTS
    assert audit(tmp_path / "log").outcomes == {"answered": 4, "rejected": 0, "shed": 0, "failed": 1}


def test_positions_that_were_stored_stay_valid(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    stored: list[Positions] = []
    reader = LogReader(tmp_path / "log")
    while not reader.read(1).caught_up:
        stored.append(reader.positions)
    left = [
        len([r for c in chunks(LogReader(tmp_path / "log", p)) for run in c.runs for r in run.records]) for p in stored
    ]
    erase(tmp_path, "customer = 'customer-1'")
    for positions, records in zip(stored, left, strict=True):
        found = chunks(LogReader(tmp_path / "log", positions))
        assert [chunk.lost for chunk in found if chunk.lost] == []
        assert len([record for chunk in found for run in chunk.runs for record in run.records]) == records


def test_only_the_model_that_is_named_is_touched(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    before = contents(tmp_path)
    assert erase(tmp_path, "amount >= 5", model="sums").counts["rows"] == 1
    gone = before.keys() - contents(tmp_path).keys()
    assert [table for table, _ in gone] == ["Request"]


def test_a_dry_run_counts_the_same_and_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    dry = Eraser(tmp_path, Order("customer = 'customer-1'", None, KEY, "tests"), wait_s=5).dry_run()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files
    assert dry.counts == erase(tmp_path, "customer = 'customer-1'").counts


def test_where_nothing_matches_nothing_is_changed(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    (tmp_path / "log" / "w0" / "00000001-00000000.seg.torn").write_bytes(b"kept")
    files = {path: path.read_bytes() for path in (tmp_path / "log").rglob("*") if path.is_file()}
    report = erase(tmp_path, "customer = 'nobody'")
    assert (report.counts["rows"], report.receipt) == (0, None)
    assert {path: path.read_bytes() for path in (tmp_path / "log").rglob("*") if path.is_file()} == files


def test_a_column_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    with pytest.raises(WhereInvalid, match="column 'custmer'"):
        erase(tmp_path, "custmer = 'customer-1'")
    assert not list((tmp_path / "receipts").glob("*.json"))


def test_torn_rests_and_damage_go_with_what_is_erased(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    first = list_segments(tmp_path / "log" / "w0")[0].path
    torn = first.with_name(first.name + ".torn")
    torn.write_bytes(b"half a record of customer-1")
    broken = first.read_bytes() + b"customer-1 in a frame that does not check"
    first.write_bytes(broken)
    lost = audit(tmp_path / "log").corrupt
    assert erase(tmp_path, "customer = 'customer-1'").remains == ()
    assert holding(tmp_path) == []
    assert not torn.exists()
    assert first.stat().st_size == len(broken)
    assert audit(tmp_path / "log").corrupt == lost


def test_a_value_that_stands_elsewhere_is_told(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "contract.json").write_text('"customer-1"')
    assert erase(tmp_path, "customer = 'customer-1'").remains == ("registry/contract.json",)
    assert erase(tmp_path, "customer = 'customer-1' and amount > 0").remains == ()


def test_a_value_that_is_a_part_of_another_is_not_taken_for_it(tmp_path: Path) -> None:
    write(tmp_path, [([("customer-1", 1.0)], False, "answered"), ([("customer-17", 1.0)], False, "answered")])
    (tmp_path / "notes").write_text("customer-17, Xcustomer-1, customer-1-b")
    assert erase(tmp_path, "customer = 'customer-1'").remains == ()
    assert holding(tmp_path, b"customer-17") != []


@pytest.mark.parametrize("place", [0, *(SEARCH_BYTES - before for before in (30, 12, 11, 10, 1, 0))])
@pytest.mark.parametrize(
    ("written", "there"), [(b" customer-1 ", True), (b"\xaacustomer-1x", True), (b" customer-12", False)]
)
def test_a_value_is_found_wherever_it_stands_in_a_file(tmp_path: Path, place: int, written: bytes, there: bool) -> None:
    (tmp_path / "file").write_bytes(bytes(place) + written + bytes(SEARCH_BYTES // 2))
    (tmp_path / "end").write_bytes(bytes(place) + written.rstrip(b"x "))
    files = ("end", "file") if there else ()
    assert erase(tmp_path, "customer = 'customer-1'").remains == files


@pytest.mark.parametrize("stop", range(9))
def test_an_erasure_that_is_cut_short_at_any_border_is_finished_by_the_same_command(tmp_path: Path, stop: int) -> None:
    write(tmp_path, SOME)
    steps: list[str] = []

    class Killed(BaseException):
        pass

    def step(name: str) -> None:
        steps.append(name)
        if len(steps) > stop:
            raise Killed

    try:
        erase(tmp_path, "customer = 'customer-1'", step=step)
        raise AssertionError(f"only {len(steps)} borders")
    except Killed:
        pass
    (begun,) = (tmp_path / "receipts").glob("*.json")
    assert msgspec.json.decode(begun.read_bytes())["state"] == "begun"
    (tmp_path / "log" / "w0" / "00000001-00000000.seg.erasing").write_bytes(b"customer-1")
    report = erase(tmp_path, "customer = 'customer-1'")
    assert holding(tmp_path) == []
    assert report.receipt == begun
    assert report.counts == COUNTS
    receipt = msgspec.json.decode(begun.read_bytes())
    assert receipt["state"] == "done"
    assert all(one["before"] != one["after"] for one in receipt["files"].values())
    assert audit(tmp_path / "log").whole


def test_a_receipt_says_what_was_done_and_not_of_whom(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    report = erase(tmp_path, "customer = 'customer-1'")
    assert report.receipt is not None
    receipt = msgspec.json.decode(report.receipt.read_bytes())
    assert (receipt["by"], receipt["state"], receipt["format"], receipt["missed"]) == ("tests", "done", 1, [])
    assert len(receipt["clause"]) == 64
    assert receipt["counts"] == report.counts
    assert b"customer" not in report.receipt.read_bytes()
    assert set(receipt["files"]) >= {f"log/w0/{one.path.name}" for one in list_segments(tmp_path / "log" / "w0")[:1]}


def test_a_hashed_person_is_found_by_the_raw_value(tmp_path: Path) -> None:
    schema = msgspec.structs.replace(SCHEMA, private={"customer": Privacy.HASH})
    rows = [(hashed(KEY, person), 1.0) for person in ("Ann", "Bob")]

    async def fill() -> None:
        async with writer(tmp_path / "log") as log:
            log.schema_id(schema)
            await log.append_request(request(0, rows))

    asyncio.run(fill())
    assert erase(tmp_path, "customer = 'Ann'").counts["rows"] == 1
    assert holding(tmp_path, hashed(KEY, "Ann").encode()) == []
    assert holding(tmp_path, hashed(KEY, "Bob").encode()) != []


def test_the_segment_that_a_live_writer_has_open_is_let_go_and_erased(tmp_path: Path) -> None:
    async def live() -> Report:
        async with writer(tmp_path / "log", fsync_interval_s=0.01) as log:
            log.schema_id(SCHEMA)
            keeping = asyncio.create_task(log.keep())
            await log.append_request(request(0, SOME[0][0]))
            report = await asyncio.to_thread(erase, tmp_path, "customer = 'customer-1'")
            assert holding(tmp_path) == []
            await log.append_request(request(1, [("customer-2", 1.0)]))
            keeping.cancel()
            assert not (log.directory / ROTATE).exists()
        return report

    assert asyncio.run(live()).missed == ()
    assert len(list_segments(tmp_path / "log" / "w0")) == 2
    records = [
        record for chunk in chunks(LogReader(tmp_path / "log")) for run in chunk.runs for _, record in run.records
    ]
    assert [type(record).__name__ for record in records if isinstance(record, Request)] == ["PartRequest", "Request"]
    assert audit(tmp_path / "log").whole


def test_a_writer_that_does_not_let_go_is_named(tmp_path: Path) -> None:
    async def deaf() -> Report:
        async with writer(tmp_path / "log") as log:
            log.schema_id(SCHEMA)
            await log.append_request(request(0, SOME[0][0]))
            eraser = Eraser(tmp_path, Order("customer = 'customer-1'", None, KEY, "tests"), wait_s=0.05)
            report = await asyncio.to_thread(eraser.run)
            assert not (log.directory / ROTATE).exists()
        return report

    report = asyncio.run(deaf())
    assert report.missed == ("log/w0/00000001-00000000.seg",)
    assert report.remains == ("log/w0/00000001-00000000.seg",)
    assert erase(tmp_path, "customer = 'customer-1'").missed == ()
    assert holding(tmp_path) == []


def test_two_erasures_do_not_work_at_once(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    inner: list[str] = []

    def step(name: str) -> None:
        if name == "begun":
            with pytest.raises(ErasureBusy):
                erase(tmp_path, "customer = 'customer-2'")
            inner.append(name)

    erase(tmp_path, "customer = 'customer-1'", step=step)
    assert inner == ["begun"]


def test_records_of_a_newer_version_stay_and_are_told(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    last = list_segments(tmp_path / "log" / "w0")[-1].path
    newer = frame(msgspec.msgpack.encode(["of format 2", "customer-1"]), 99)
    with last.open("ab") as file:
        file.write(newer)
    report = erase(tmp_path, "customer = 'customer-1'")
    assert report.unread_frames == 1
    assert report.remains == (f"log/w0/{last.name}",)
    assert newer in last.read_bytes()


def test_an_erased_record_has_a_readable_form_and_a_mode_as_before(tmp_path: Path) -> None:
    write(tmp_path, SOME)
    modes = {path: path.stat().st_mode for path in tmp_path.rglob("*.seg")}
    erase(tmp_path, "customer = 'customer-1'")
    assert {path: path.stat().st_mode for path in tmp_path.rglob("*.seg")} == modes
    erased = [
        record
        for chunk in chunks(LogReader(tmp_path / "log"))
        for run in chunk.runs
        for _, record in run.records
        if isinstance(record, Erased)
    ]
    assert [record.outcome for record in erased].count("answered") == 1
    assert encode(erased[0])[-1:] in (b"\x00", b"\xc0")
