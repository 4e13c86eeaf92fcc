"""The audit log on disk: append a line that lasts, read the newest, read them all.

Law: when `append` returns, the line is fsynced. What an interrupted append left behind is taken away by the next one.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from models.durable import sync_directory

TAIL_BYTES = 1 << 16  # holds the newest line in nearly all cases; a longer one is looked for further back


class AuditFile:
    """`routes.audit.jsonl` in the home directory. Who appends holds the lock of the routes document."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: bytes) -> None:
        """Raises OSError; then the line is not there, or is torn and does not count."""
        fresh = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.ftruncate(descriptor, self._whole_bytes(descriptor))
            _write_all(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if fresh:
            sync_directory(self.path.parent)

    def newest(self) -> tuple[bytes | None, int]:
        """The last whole line, None where there is none; and the bytes of a torn one behind it."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return None, 0
        try:
            end = self._whole_bytes(descriptor)
            torn = os.fstat(descriptor).st_size - end
            begin = _line_end_before(descriptor, end - 1) if end else 0
            return (os.pread(descriptor, end - 1 - begin, begin) if end else None), torn
        finally:
            os.close(descriptor)

    def lines(self) -> Iterator[bytes]:
        """Every whole line, oldest first, without its end."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]

    def _whole_bytes(self, descriptor: int) -> int:
        return _line_end_before(descriptor, os.fstat(descriptor).st_size)


def _line_end_before(descriptor: int, end: int) -> int:
    """The place behind the last line end before this place; 0 where there is none."""
    while end > 0:
        begin = max(0, end - TAIL_BYTES)
        found = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
