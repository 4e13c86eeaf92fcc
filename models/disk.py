"""The calls by which the log and what stands on it change the disk: one place, so that a test can make each of them fail."""

import os
from pathlib import Path

from models.durable import sync_directory


class Disk:
    """The machine's own; a test's stands in its place and fails, forgets, or ends the process between two calls."""

    def create(self, path: Path) -> int:
        """A descriptor to write to an empty file."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        """How many bytes were taken; may be fewer than given."""
        return os.write(descriptor, data)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cuts the file, and goes on writing there."""
        os.ftruncate(descriptor, size)
        os.lseek(descriptor, size, os.SEEK_SET)

    def fsync(self, descriptor: int) -> None:
        """Returns when the file's bytes are on the device."""
        os.fsync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Replaces `target` in one step."""
        source.rename(target)

    def unlink(self, path: Path) -> None:
        """Takes the name away; one that is not there is no error."""
        path.unlink(missing_ok=True)

    def sync_directory(self, directory: Path) -> None:
        """Returns when the names in it are on the device."""
        sync_directory(directory)

    def allocate(self, descriptor: int, size: int) -> None:
        """Takes space for so many bytes; raises OSError (ENOSPC) and takes none where there is not so much."""
        os.posix_fallocate(descriptor, 0, size)

    def close(self, descriptor: int) -> None:
        """Gives the descriptor back."""
        os.close(descriptor)
