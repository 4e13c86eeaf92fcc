"""Retention's rows of the fault table: a pass ends anywhere while it lets files of the archive go, by age or by bytes.

Rows are those that an undisturbed pass keeps, found are those that the manifest names in the end.
"""

import multiprocessing
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from service.featurelog.archive_audit import audit_archive
from service.featurelog.archive_files import ArchiveFiles
from service.featurelog.archive_plan import Keep
from service.featurelog.ledger import audit
from service.featurelog.manifest import LetGo
from service.featurelog.record import Feedback
from service.featurelog.segments import Rotation
from tests.promises.faults.archiver import KILLS_IN_A_ROW, ends_at, rows_of
from tests.promises.faults.row import Row, Tally
from tests.unit.service.featurelog.archiving import (
    DAY_US,
    RAW_GOES,
    START_US,
    TABLES,
    archive,
    asked,
    manifest_of,
    on_disk,
)
from tests.unit.service.featurelog.writing import write


class Case(NamedTuple):
    """An archive from which a pass lets go, and what is left when nothing disturbs it."""

    name: str
    fresh: Path
    keep: Keep
    now_us: int
    rows: list[str]
    let_go: LetGo


def every_border(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """The process ends before or after each call that changes the disk."""
    tally, borders = Tally(), 0
    for case in _cases(folder, days=3, tally=tally):
        ended, border = True, 0
        while ended:
            border += 1
            for after in (False, True):
                place = folder / f"{case.name} {border} {after}"
                shutil.copytree(case.fresh, place)
                ended = ends_at(place, border, after=after, keep=case.keep, now_us=case.now_us)
                what = f"{case.name}, border {border}, {'after' if after else 'before'} the call"
                _hold(tally, place, case, what)
                shutil.rmtree(place)
        borders += border - 1
    tally.note = f"{borders} borders"
    return tally


def killed(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """kill -9 at a random moment, and again in the pass that takes up from there."""
    tally = Tally()
    for case in _cases(folder, days=40, tally=tally):
        longest_s = _pass_s(case, folder / f"{case.name} timed")
        for number in range(repetitions):
            place = folder / f"{case.name} {number}"
            shutil.copytree(case.fresh, place)
            for _ in range(KILLS_IN_A_ROW):
                given = {"keep": case.keep, "now_us": case.now_us}
                child = multiprocessing.get_context("fork").Process(target=archive, args=(place,), kwargs=given)
                child.start()
                child.join(dice.uniform(0, longest_s))
                child.kill()
                child.join()
            _hold(tally, place, case, f"{case.name}, repetition {number}")
            shutil.rmtree(place)
        tally.note = f"{KILLS_IN_A_ROW} kills a repetition, each within {longest_s:.2f} s of the start of a pass"
    return tally


def _cases(folder: Path, *, days: int, tally: Tally) -> Iterator[Case]:
    """Half of the days are too old; half of the bytes are too many. With them go all raw segments but the newest."""
    fresh, now_us = folder / "fresh", START_US + (days - 1) * DAY_US
    for day in range(days):
        at_us = START_US + day * DAY_US
        write(
            fresh / "log",
            [asked(day, -1, at_us=at_us), Feedback(at_us, f"r{day}", 0, 1.0, at_us)],
            rotation=Rotation(1, 1e9),
        )
    archive(fresh)
    size = sum(file.bytes for file in manifest_of(fresh).files)
    keeps = {"age": RAW_GOES._replace(archive_days=days // 2), "bytes": RAW_GOES._replace(archive_bytes=size // 2)}
    for name, keep in keeps.items():
        place = folder / f"{name} undisturbed"
        shutil.copytree(fresh, place)
        report = archive(place, keep=keep, now_us=now_us)
        tally.expect(report.let_go_files > 0 and report.let_go_segments > 0, f"{name}: nothing was let go")
        yield Case(name, fresh, keep, now_us, rows_of(place), manifest_of(place).let_go)


def _pass_s(case: Case, place: Path) -> float:
    shutil.copytree(case.fresh, place)
    begun_s = time.monotonic()
    archive(place, keep=case.keep, now_us=case.now_us)
    return time.monotonic() - begun_s


def _hold(tally: Tally, place: Path, case: Case, what: str) -> None:
    """Manifest and files agree as they are; after one more pass what is to be kept is there, and nothing else."""
    files = ArchiveFiles(place / "archive")
    if faults := audit_archive(files).faults:
        tally.add(case.rows, ())
        tally.expect(False, f"{what}: {faults[0]}")
        return
    tally.expect(audit(place / "log").whole, f"{what}: the log is not whole")
    tally.expect(set(case.rows) <= set(rows_of(place)), f"{what}: a row is gone that is to be kept")
    archive(place, keep=case.keep, now_us=case.now_us)
    tally.add(case.rows, rows_of(place))
    tally.expect(set(rows_of(place)) <= set(case.rows), f"{what}: a row stays that was to go")
    tally.expect(
        manifest_of(place).let_go == case.let_go, f"{what}: {manifest_of(place).let_go}, expected {case.let_go}"
    )
    tally.expect(audit_archive(files, deep=True).whole, f"{what}: a file is damaged")
    tally.expect(audit(place / "log").whole, f"{what}: the log does not add up after the next pass")
    tally.expect(
        on_disk(place) == [file.path for file in manifest_of(place).files], f"{what}: files without a name left"
    )
    empty = [
        path
        for table in TABLES
        for path in (files.root / table).rglob("*")
        if path.is_dir() and not any(path.iterdir())
    ]
    tally.expect(not empty, f"{what}: empty folders left")


ROWS = (
    Row("retention: exit at every call", "before and after each call, by age and by bytes", every_border),
    Row(
        "retention: kill -9", f"at random moments, {KILLS_IN_A_ROW} in a row, both ways", killed, repetitions=50, few=2
    ),
)
