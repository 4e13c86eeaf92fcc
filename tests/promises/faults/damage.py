"""What was written is damaged afterwards: every byte, every bit, whole segments, two writers in one place."""

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from service.featurelog.chunk import Lost
from service.featurelog.errors import DirectoryBusy
from service.featurelog.files import list_segments, lock_directory
from service.featurelog.framing import Frame, scan
from service.featurelog.ledger import audit
from service.featurelog.record import Record, Request, decode
from service.featurelog.segments import Rotation, segment_name
from tests.processes import ROOT
from tests.promises.faults.row import Row, Tally
from tests.unit.service.featurelog.writing import ids, read, request, write

N = 12
SMALL = Rotation(400, 1e9)


def _log(root: Path) -> list[Record]:
    write(root, [request(number) for number in range(N)], rotation=SMALL)
    return read(root)[0]


def _frames(path: Path) -> list[Frame]:
    return [found for found in scan(path.read_bytes()) if isinstance(found, Frame)]


def _names(frames: Sequence[Frame]) -> list[str]:
    payloads = [decode(found.payload) for found in frames]
    return [payload.request_id for payload in payloads if isinstance(payload, Request)]


def truncated(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """The last segment ends at every byte: what is whole is there, the next writer takes over and goes on."""
    _log(folder / "whole")
    tally = Tally()
    paths = [segment.path for segment in list_segments(folder / "whole" / "w0")]
    held = [path for path in paths if _names(_frames(path))]
    last, before = held[-1], [name for path in held[:-1] for name in _names(_frames(path))]
    data = last.read_bytes()
    for size in range(len(data) + 1):
        root = folder / str(size)
        (root / "w0").mkdir(parents=True)
        for path in held[:-1]:
            shutil.copy(path, root / "w0")
        (root / "w0" / last.name).write_bytes(data[:size])
        expected = [*before, *_names([found for found in _frames(last) if found.end <= size])]
        tally.expect(ids(read(root)[0]) == expected, f"{size} bytes: other records than the whole ones")
        write(root, [request(1000)])
        tally.add([*expected, "r1000"], ids(read(root)[0]))
        kept = root / "w0" / f"{last.name}.torn"
        left = (root / "w0" / last.name).read_bytes() + (kept.read_bytes() if kept.exists() else b"")
        tally.expect(left == data[:size], f"{size} bytes: what was cut is not kept")
    return tally


def bits_flipped(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """Every bit of a small segment: no wrong value, nothing else lost, and the count of what is lost is exact."""
    whole = _log(folder)
    tally = Tally()
    path = list_segments(folder / "w0")[1].path
    data, frames = path.read_bytes(), _frames(path)
    for bit in range(len(data) * 8):
        path.write_bytes(data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :])
        hit = next(found for found in frames if found.offset <= bit // 8 < found.end)
        records, lost = read(folder)
        victims = _names([hit])
        tally.add([name for name in ids(whole) if name not in victims], ids(records))
        tally.expect(all(record in whole for record in records), f"bit {bit}: a value that nobody wrote")
        tally.expect(len(records) == len(whole) - len(victims), f"bit {bit}: {len(records)} records")
        tally.expect(_exact(lost) == len(victims), f"bit {bit}: {_exact(lost)} reported lost, {len(victims)} are")
        tally.expect(bool(lost), f"bit {bit}: not reported")
    return tally


def _exact(lost: Sequence[Lost]) -> int:
    return sum(hole.records or 0 for hole in lost)


def segment_damaged(
    folder: Path, repetitions: int, dice: random.Random, *, damage: Callable[[Path, Path], bool]
) -> Tally:
    """Each segment but the last in turn; `damage` returns whether its records are lost by it."""
    tally = Tally()
    write(folder / "whole", [request(number) for number in range(5 * N)], rotation=SMALL)
    whole = ids(read(folder / "whole")[0])
    for place in range(len(list_segments(folder / "whole" / "w0")) - 1):
        root = folder / str(place)
        shutil.copytree(folder / "whole", root)
        victim = list_segments(root / "w0")[place].path
        inside = _names(_frames(victim))
        gone = inside if damage(root, victim) else []
        records, lost = read(root)
        tally.add([name for name in whole if name not in gone], ids(records))
        tally.expect(set(ids(records)) <= set(whole), f"segment {place}: a record that nobody wrote")
        tally.expect(_exact(lost) == len(gone), f"segment {place}: {_exact(lost)} reported lost, {len(gone)} are")
        tally.expect(not audit(root).whole, f"segment {place}: `plumbline log verify` says that the log is whole")
    return tally


def _missing(root: Path, victim: Path) -> bool:
    victim.unlink()
    return True


def _empty(root: Path, victim: Path) -> bool:
    victim.write_bytes(b"")
    return True


def _foreign(root: Path, victim: Path) -> bool:
    other = root.parent / f"{root.name}-other"
    write(other, [request(666)])
    write(other, [request(number + 1000) for number in range(N)], rotation=SMALL)
    shutil.copy(list_segments(other / "w0")[1].path, victim)
    return True


def _twice(root: Path, victim: Path) -> bool:
    last = list_segments(root / "w0")[-1]
    shutil.copy(victim, victim.with_name(segment_name(last.epoch, last.number + 1)))
    return False


def two_writers(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """While a process writes, another is refused its directory, and takes one of its own."""
    tally = Tally()
    argv = [sys.executable, "-m", "tests.unit.service.featurelog.acknowledging", str(folder), "0"]
    first = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT)
    assert first.stdout is not None
    with first.stdout as stdout:
        said = stdout.readline()
        try:
            lock_directory(folder / "w0")
            tally.expect(False, "the second writer was not refused")
        except DirectoryBusy:
            pass
        write(folder, [request(10_000_000)])
        first.send_signal(signal.SIGKILL)
        said += stdout.read()
    first.wait()
    tally.expect((folder / "w1").is_dir(), "the second writer has no directory of its own")
    told = said.decode().splitlines()
    tally.add_log([*told, "r10000000"], folder, "two writers")
    return tally


ROWS = (
    Row("truncation", "the last segment, at every byte", truncated),
    Row("bit flip", "every bit of a small segment", bits_flipped),
    Row("segment missing", "each in turn", partial(segment_damaged, damage=_missing)),
    Row("segment of zero length", "each in turn", partial(segment_damaged, damage=_empty)),
    Row("foreign segment", "in the place of each in turn", partial(segment_damaged, damage=_foreign)),
    Row("segment twice", "each in turn, copied to the end", partial(segment_damaged, damage=_twice)),
    Row("two writers", "on one directory", two_writers),
)
