"""A file system that takes every write and, once it is told to, refuses every fsync: what it lies on is full.

An ext4 in a sparse file on a tmpfs. When the tmpfs is full the page cache still takes what is written, and what writes it back
cannot: the kernel says so at the next fsync, as it does for a disk that fails or a network that is gone.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.small_disk import CannotMount, fill, small_disk

LIES_ON_BYTES, SAYS_BYTES = 48 << 20, 256 << 20


@contextmanager
def refusing_disk(place: Path, beneath: Path) -> Iterator[Callable[[], Path]]:
    """`place` as such a file system, and what makes it refuse; `beneath`: where its tmpfs is. Raises CannotMount."""
    place.mkdir(parents=True, exist_ok=True)
    with small_disk(beneath, LIES_ON_BYTES):
        image = beneath / "image"
        with image.open("wb") as file:
            file.truncate(SAYS_BYTES)
        _run("mkfs.ext4", "-q", "-O", "^has_journal", "-E", "nodiscard", image)  # a journal that fails ends all writes
        _run("mount", "-o", "loop,errors=continue", image, place)
        try:
            yield lambda: fill(beneath)
        finally:
            subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def _run(*words: str | Path) -> None:
    try:
        subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise CannotMount(f"{words[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise CannotMount(error.stderr.strip()) from error
