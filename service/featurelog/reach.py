"""Which segments may be rewritten: those that no writer holds open.

Laws
- The directory of a writer that is gone is held while it is worked on: no new writer opens its newest segment meanwhile.
- A writer that lives is asked to begin a new segment; where it does not within the deadline its newest one is not reached.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.looking import look_until
from service.featurelog.errors import DirectoryBusy
from service.featurelog.files import ROTATE, SegmentFile, list_segments, list_writers, lock_directory


@dataclass(frozen=True, slots=True)
class Reach:
    """The segments by writer, and the files that a writer still has open."""

    segments: tuple[tuple[str, SegmentFile], ...]
    missed: tuple[Path, ...]


@contextmanager
def reached(root: Path, wait_s: float) -> Iterator[Reach]:
    """While the block runs these segments are nobody's."""
    held: list[int] = []
    live: list[tuple[str, Path, tuple[int, int]]] = []
    try:
        for writer, directory in list_writers(root):
            try:
                held.append(lock_directory(directory))
            except DirectoryBusy:
                live.append((writer, directory, _newest(directory)))
                (directory / ROTATE).touch()
        _wait_for_new_ones(live, wait_s)
        before = {directory: newest for _, directory, newest in live}
        segments: list[tuple[str, SegmentFile]] = []
        missed: list[Path] = []
        for writer, directory in list_writers(root):
            found = list_segments(directory)
            if directory in before and found:
                open_ = found.pop()
                if open_.key <= before[directory]:
                    missed.append(open_.path)
            segments += [(writer, segment) for segment in found]
        yield Reach(tuple(segments), tuple(missed))
    finally:
        for descriptor in held:
            os.close(descriptor)
        for _, directory, _ in live:
            (directory / ROTATE).unlink(missing_ok=True)


def _wait_for_new_ones(live: list[tuple[str, Path, tuple[int, int]]], wait_s: float) -> None:
    look_until(lambda: None if any(_newest(directory) <= newest for _, directory, newest in live) else True, wait_s)


def _newest(directory: Path) -> tuple[int, int]:
    return max((segment.key for segment in list_segments(directory)), default=(0, -1))
