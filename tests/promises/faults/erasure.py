"""Erasure's rows of the fault table: of whom a clause names no byte is left in the home, every other row is what it was.

Homes are drawn: people, requests with labels and shadow answers, values as they are or hashed; some archived, some sealed, some
in a segment that is still written. Rows are those of nobody who is named, found are those that are the same afterwards.
"""

import asyncio
import multiprocessing
import os
import random
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from models.contract import Privacy
from service.featurelog.archive_audit import audit_archive
from service.featurelog.archive_files import ArchiveFiles
from service.featurelog.erase import Report
from service.featurelog.files import list_segments
from service.featurelog.ledger import audit
from service.featurelog.privacy import hashed
from service.featurelog.receipt import DONE
from service.featurelog.segments import Rotation
from service.featurelog.writer import FeatureLog
from tests.promises.faults.row import Row, Tally
from tests.unit.service.featurelog.archiving import FOR_EVER, RAW_GOES, archive
from tests.unit.service.featurelog.test_erase import KEY, SCHEMA, contents, followers, holding, request
from tests.unit.service.featurelog.test_erase_archive import erase, sealed, texts
from tests.unit.service.featurelog.writing import writer

KILLS_IN_A_ROW = 3
PEOPLE = 6
SMALL = Rotation(800, 1e9)

Asked = tuple[int, list[tuple[str, float]], str]
"""Number of the request, its rows as they are stored, its outcome."""


@dataclass(frozen=True)
class Drawn:
    """A home, its requests that are not written yet, and whom the clause names: as the clause says it, as the log does."""

    place: Path
    hashes: bool
    hot: list[Asked]
    where: str
    said: list[str]
    stored: list[str]
    gone: dict[str, set[int]]


def any_home(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """While the writer lives: it is asked to let go of the segment that it writes."""
    tally = Tally()
    for number in range(repetitions):
        drawn = _draw(folder / f"{number}", dice)
        asyncio.run(_while_it_is_written(drawn, tally, f"home {number}"))
        _still_nothing(tally, drawn, f"home {number}")
        shutil.rmtree(drawn.place)
    tally.note = f"{repetitions} homes"
    return tally


async def _while_it_is_written(drawn: Drawn, tally: Tally, what: str) -> None:
    async with writer(drawn.place / "log", fsync_interval_s=0.01) as log:
        keeping = asyncio.create_task(log.keep())
        await _append(log, drawn.hot, drawn.hashes)
        expected = _expected(tally, drawn, what)
        report = await asyncio.to_thread(erase, drawn.place, drawn.where)
        _hold(tally, drawn, expected, report, what)
        keeping.cancel()


def killed(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """kill -9 at a random moment, and again in the command that takes up from there; the last one is left to end."""
    tally, longest_s = Tally(), 0.0
    for number in range(repetitions):
        drawn, what = _draw(folder / f"{number}", dice), f"repetition {number}"
        _write_and_die(drawn)
        expected = _expected(tally, drawn, what)
        longest_s = max(longest_s, _undisturbed_s(drawn, folder / "undisturbed"))
        for _ in range(KILLS_IN_A_ROW):
            child = multiprocessing.get_context("fork").Process(target=erase, args=(drawn.place, drawn.where))
            child.start()
            child.join(dice.uniform(0, longest_s))
            child.kill()
            child.join()
            tally.expect(expected <= _rows(drawn.place), f"{what}: a row of somebody else is gone between two commands")
        _hold(tally, drawn, expected, erase(drawn.place, drawn.where), what)
        _still_nothing(tally, drawn, what)
        shutil.rmtree(drawn.place)
    tally.note = f"{KILLS_IN_A_ROW} kills a repetition, each within {longest_s:.2f} s of the start of a command"
    return tally


# --- homes ------------------------------------------------------------------------------------------------------------


def _draw(place: Path, dice: random.Random) -> Drawn:
    """A third is archived, its raw segments there or let go; a third is sealed; a third is left to be written."""
    hashes = dice.random() < 0.5
    people = [f"person-{dice.getrandbits(40):010x}" for _ in range(PEOPLE)]
    stored = {person: hashed(KEY, person) if hashes else person for person in people}
    asked = [_asked(number, list(stored.values()), dice) for number in range(dice.randint(9, 24))]
    seen = {person for _, rows, outcome in asked for person, _ in rows if outcome != "rejected"}
    named = dice.sample([person for person in people if stored[person] in seen], k=dice.choice((1, 1, 2)))
    third = len(asked) // 3
    _write(place, asked[:third], hashes)
    archive(place, keep=dice.choice((FOR_EVER, RAW_GOES)))
    _write(place, asked[third : 2 * third], hashes)
    last = list_segments(place / "log" / "w0")[-1].path
    last.with_name(f"{last.name}.torn").write_bytes(b"half a record of " + stored[named[0]].encode())
    literals = ", ".join(f"'{person}'" for person in named)
    where = f"customer in ({literals})" if len(named) > 1 else f"customer = {literals}"
    lost = [stored[person] for person in named]
    gone = {
        f"r{n}": {i for i, (person, _) in enumerate(rows) if person in lost}
        for n, rows, out in asked
        if out != "rejected"
    }
    return Drawn(place, hashes, asked[2 * third :], where, named, lost, gone)


def _asked(number: int, people: Sequence[str], dice: random.Random) -> Asked:
    rows = [(dice.choice(people), dice.uniform(-10, 10)) for _ in range(dice.randint(1, 4))]
    return number, rows, dice.choice(("answered", "answered", "failed", "rejected"))


def _write(place: Path, asked: Sequence[Asked], hashes: bool) -> None:
    async def run() -> None:
        async with writer(place / "log", rotation=SMALL) as log:
            await _append(log, asked, hashes)

    asyncio.run(run())


def _write_and_die(drawn: Drawn) -> None:
    """The newest segment is one that nobody sealed."""

    async def run() -> None:
        async with writer(drawn.place / "log") as log:
            await _append(log, drawn.hot, drawn.hashes)
            os._exit(0)

    if (pid := os.fork()) == 0:
        asyncio.run(run())
    os.waitpid(pid, 0)


async def _append(log: FeatureLog, asked: Sequence[Asked], hashes: bool) -> None:
    log.schema_id(msgspec.structs.replace(SCHEMA, private={"customer": Privacy.HASH} if hashes else None))
    for number, rows, outcome in asked:
        await log.append_request(request(number, rows, outcome=outcome))
        if outcome == "answered":
            for record in followers(number, rows):
                await log.append(record)


def _undisturbed_s(drawn: Drawn, place: Path) -> float:
    shutil.copytree(drawn.place, place)
    begun_s = time.monotonic()
    erase(place, drawn.where)
    took_s = time.monotonic() - begun_s
    shutil.rmtree(place)
    return took_s


# --- what must hold ---------------------------------------------------------------------------------------------------


def _expected(tally: Tally, drawn: Drawn, what: str) -> set[str]:
    """The rows of the others, and a look whether the people are there at all."""
    tally.expect(_seen(drawn.place, drawn.stored) == set(drawn.stored), f"{what}: somebody is not there before")
    return _rows(drawn.place, drawn.gone)


def _rows(place: Path, without: dict[str, set[int]] | None = None) -> set[str]:
    """Every row, hot or archived, with all that it says."""
    found = [("raw", contents(place)), ("archived", sealed(place))]
    gone = without or {}
    return {
        f"{where} {table} {key}: {said}"
        for where, rows in found
        for (table, key), (request_id, said) in rows.items()
        if key[3] not in gone.get(request_id, ())  # type: ignore[index]
    }


def _seen(place: Path, values: Iterable[str]) -> set[str]:
    """Those that stand in any byte of the home, or in what the archive's files hold compressed."""
    held = "\n".join(map(str, texts(place)))
    return {value for value in values if value in held or holding(place, value.encode())}


def _hold(tally: Tally, drawn: Drawn, expected: set[str], report: Report, what: str) -> None:
    """Nothing of whom the clause names, everything of the others, one receipt that says it is done."""
    found = _rows(drawn.place)
    tally.add(expected, found & expected)
    tally.expect(found <= expected, f"{what}: {len(found - expected)} rows stay that were to go, or changed")
    _still_nothing(tally, drawn, what, archives=False)
    tally.expect(not report.missed and not report.remains, f"{what}: missed {report.missed}, remains {report.remains}")
    receipts = [msgspec.json.decode(path.read_bytes()) for path in (drawn.place / "receipts").glob("*.json")]
    tally.expect(
        [receipt["state"] for receipt in receipts] == [DONE], f"{what}: {len(receipts)} receipts, expected one, done"
    )


def _still_nothing(tally: Tally, drawn: Drawn, what: str, *, archives: bool = True) -> None:
    """Also after a pass has archived what was sealed."""
    if archives:
        report = archive(drawn.place)
        tally.expect(not (report.damaged or report.lost_records or report.malformed), f"{what}: a pass finds damage")
    tally.expect(not _seen(drawn.place, [*drawn.said, *drawn.stored]), f"{what}: a value is still there")
    tally.expect(audit(drawn.place / "log").whole, f"{what}: the log is not whole")
    tally.expect(
        audit_archive(ArchiveFiles(drawn.place / "archive"), deep=True).whole, f"{what}: the archive is not whole"
    )


ROWS = (
    Row("erasure: any home", "random people, hot, sealed and archived", any_home, repetitions=100, few=4),
    Row("erasure: kill -9", f"at random moments, {KILLS_IN_A_ROW} in a row", killed, repetitions=100, few=2),
)
