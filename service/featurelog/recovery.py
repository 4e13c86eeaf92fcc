"""What a writer does with the torn tail that a crash left in its newest segment (FORMAT.md §1.4)."""

import os
from pathlib import Path

from models.durable import sync_directory
from service.featurelog.framing import Tail, scan


def cut_torn_tail(path: Path) -> int:
    """Cuts bytes after the last whole frame and keeps them beside the segment; returns how many. Idempotent."""
    data = path.read_bytes()
    offset = next((found.offset for found in scan(data) if isinstance(found, Tail)), len(data))
    if offset == len(data):
        return 0
    kept = path.with_suffix(path.suffix + ".torn")
    with kept.open("wb") as file:  # a crash before the cut leaves the same bytes to be kept again
        file.write(data[offset:])
        os.fsync(file.fileno())
    sync_directory(path.parent)
    with path.open("r+b") as file:
        file.truncate(offset)
        os.fsync(file.fileno())
    return len(data) - offset
