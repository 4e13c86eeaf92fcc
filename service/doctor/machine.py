"""Is this machine fit: Python and packages, disk, open files, clock?"""

import ctypes
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from models.finding import Finding, bad, ok, warn
from service.doctor import needs
from service.doctor.newest import newest_us
from service.settings import Settings

PYTHON_MIN = (3, 11)  # requires-python of pyproject.toml
LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"  # beside the code in a checkout, absent once installed
_TIMEX_BYTES = 512  # more than struct timex has on any Linux
_TIME_ERROR = 5


def python() -> Iterator[Finding]:
    """The interpreter."""
    here, least = sys.version.split()[0], f">= {'.'.join(map(str, PYTHON_MIN))}"
    if sys.version_info < PYTHON_MIN:
        yield bad("python", here, least, "make up PYTHON=/path/to/a/newer/python3")
    else:
        yield ok("python", here, least)


def packages(asked: Sequence[str] | None, lock: Path = LOCK) -> Iterator[Finding]:
    """What `asked` names (None: nobody knows, the project itself is not installed); one line where all is as it should be."""
    expected = "what pyproject.toml asks"
    if asked is None:
        yield warn("packages", "plumbline is not installed, so nobody says what it needs", expected, needs.INSTALL)
        return
    pinned = needs.locked(lock.read_text()) if lock.is_file() else {}
    found = [
        needs.package(name, _installed(name), least, pinned.get(name.lower(), ())) for name, least in needs.asked(asked)
    ]
    odd = [finding for finding in found if finding.advice]
    yield from odd
    if not odd:
        yield ok("packages", f"{len(found)} as asked", expected + (" and the lock pins" if pinned else ""))


def asked_of(distribution: str) -> Sequence[str] | None:
    """What an installed distribution needs."""
    try:
        return requires(distribution) or ()
    except PackageNotFoundError:
        return None


def disk(settings: Settings) -> Iterator[Finding]:
    yield needs.disk(
        shutil.disk_usage(existing(settings.home)).free,
        log=_bytes_below(settings.log_root),
        archive=_bytes_below(settings.archive_root),
        log_max=settings.log_raw_bytes_max,
        archive_max=settings.archive_bytes_max,
        segment=settings.log_segment_bytes_max,
        reserve=settings.log_reserve_bytes,
        workers=settings.workers,
    )


def descriptors(settings: Settings) -> Iterator[Finding]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield needs.descriptors(sys.maxsize if soft == resource.RLIM_INFINITY else soft, settings.max_connections)


def offset_s() -> float:
    """How far the wall clock is from the monotonic one: constant unless somebody sets it."""
    return time.time() - time.monotonic()


def clock(settings: Settings, before_s: float) -> Iterator[Finding]:
    """`before_s`: the offset when the checks began."""
    yield needs.clock_step(before_s, offset_s())
    yield _synchronised()
    yield needs.newest_record(newest_us(settings.log_root), time.time_ns() // 1000)


def existing(path: Path) -> Path:
    """The path, or the nearest place above it that is there."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _synchronised() -> Finding:
    """As the kernel says; a container or a sandbox may not let it."""
    expected = "a clock that NTP keeps"
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        state = -1
    if state == _TIME_ERROR:
        return warn("clock", "the kernel says: not synchronised", expected, "timedatectl set-ntp true")
    return ok("clock", "cannot be told here" if state < 0 else "synchronised", expected)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _bytes_below(root: Path) -> int:
    """Files that go while they are counted count nothing."""
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                total += (Path(folder) / name).stat().st_size
            except FileNotFoundError:
                continue
    return total
