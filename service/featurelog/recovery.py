"""What a writer does with the torn tail that a crash left in its newest segment (FORMAT.md §1.4)."""

import os
from pathlib import Path

from models.disk import Disk
from service.featurelog.framing import Tail, scan
from service.featurelog.segments import SUFFIX

HEAD_BYTES_MAX = 256  # more than any HEAD has; a larger file holds records


def cut_torn_tail(path: Path, disk: Disk) -> int:
    """Cuts bytes after the last whole frame and keeps them beside the segment; returns how many. Idempotent."""
    data = path.read_bytes()
    offset = next((found.offset for found in scan(data) if isinstance(found, Tail)), len(data))
    if offset == len(data):
        return 0
    kept = path.with_suffix(path.suffix + ".torn")
    descriptor = disk.create(kept)  # a crash before the cut leaves the same bytes to be kept again
    try:
        _write_all(disk, descriptor, data[offset:])
        disk.fsync(descriptor)
    finally:
        disk.close(descriptor)
    disk.sync_directory(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        disk.truncate(descriptor, offset)
        disk.fsync(descriptor)
    finally:
        disk.close(descriptor)
    return len(data) - offset


def drop_unborn(directory: Path, disk: Disk) -> None:
    """Takes away segments that were to repeat records and never got their name: what they hold stands in the one before."""
    for path in directory.glob(f"*{SUFFIX}.new"):
        if path.is_file() and path.stat().st_size > HEAD_BYTES_MAX:
            disk.unlink(path)


def _write_all(disk: Disk, descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[disk.write(descriptor, view) :]
