"""A file system of a few MiB that a test can fill; needs the right to mount."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class CannotMount(Exception):
    """This process may not mount, so a disk that is really full cannot be had."""


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path]:
    """`place` as a tmpfs of so many bytes. Raises CannotMount."""
    place.mkdir(parents=True, exist_ok=True)
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    try:
        done = subprocess.run(mounting, check=False, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise CannotMount("mount is not installed") from error
    if done.returncode != 0:
        raise CannotMount(done.stderr.strip())
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def fill(disk: Path) -> Path:
    """A file that takes everything that is free."""
    path = disk / "filler"
    with path.open("ab") as file:
        for step in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while os.write(file.fileno(), bytes(step)) == step:
                    pass
    return path
