"""Names and rotation of segments (FORMAT.md §2); decides, does not touch a file.

Law: sorting segment names sorts them in writing order, within an epoch and across epochs.
"""

import re
from dataclasses import dataclass

SUFFIX = ".seg"
_NAME = re.compile(r"(\d{8,})-(\d{8,})\.seg")
_WRITER = re.compile(r"w\d{1,4}")


def segment_name(epoch: int, number: int) -> str:
    """File name of a segment."""
    return f"{epoch:08d}-{number:08d}{SUFFIX}"


def parse_segment_name(name: str) -> tuple[int, int] | None:
    """(epoch, number), or None for a file that is not a segment."""
    found = _NAME.fullmatch(name)
    key = (int(found[1]), int(found[2])) if found else None
    return key if key is not None and segment_name(*key) == name else None  # a second spelling is a foreign file


def is_writer_name(name: str) -> bool:
    """Is this directory one that a writer owns?"""
    return _WRITER.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a segment is closed; both limits bound what a crash, a reader or a retention step handles at once."""

    bytes_max: int
    age_s_max: float

    def due(self, size_bytes: int, age_s: float) -> bool:
        """An empty segment is never rotated: an idle service makes no files."""
        return size_bytes > 0 and (size_bytes >= self.bytes_max or age_s >= self.age_s_max)
