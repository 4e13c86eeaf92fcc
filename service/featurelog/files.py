"""The log's directories and files: listing, reading, locking, making names durable."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from service.featurelog.errors import DirectoryBusy
from service.featurelog.segments import is_writer_name, parse_segment_name

ROTATE = "rotate"  # in a writer's directory: its writer is asked to begin a new segment (FORMAT.md §8)


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """A segment as it lies on disk."""

    path: Path
    epoch: int
    number: int

    @property
    def key(self) -> tuple[int, int]:
        return (self.epoch, self.number)

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer at the end."""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


def list_writers(root: Path) -> list[tuple[str, Path]]:
    """Every writer directory, by name; an absent root is an empty log."""
    if not root.is_dir():
        return []
    return sorted((entry.name, entry) for entry in root.iterdir() if is_writer_name(entry.name) and entry.is_dir())


def list_segments(directory: Path) -> list[SegmentFile]:
    """Every segment of a writer in writing order; foreign files are not segments."""
    found = [(parse_segment_name(path.name), path) for path in directory.iterdir()]
    return sorted((SegmentFile(path, *key) for key, path in found if key), key=lambda segment: segment.key)


def lock_directory(directory: Path) -> int:
    """Takes the writer's lock for the life of the returned descriptor; raises DirectoryBusy when another process has it."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise DirectoryBusy(str(directory)) from error
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def lock_first_free(root: Path, writers_max: int) -> tuple[str, Path, int]:
    """The first directory w0, w1, … that no live writer holds; raises DirectoryBusy when all are held."""
    for index in range(writers_max):
        try:
            return f"w{index}", root / f"w{index}", lock_directory(root / f"w{index}")
        except DirectoryBusy:
            continue
    raise DirectoryBusy(f"{root}/w0…w{writers_max - 1}")
