"""Was something erased from the log? Then the rows that the monitor remembers go as well.

Law: the word is taken away when a checkpoint without those rows is on disk, so an erasure is obeyed also by a monitor that
was killed on the way, or did not run.
"""

from pathlib import Path

from models.durable import sync_directory

NAME = "erased"  # below <home>/monitor; `plumbline log erase` writes it when it is done


class Erased:
    """The word that an erasure leaves in one home."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME

    def said(self) -> bool:
        return self._path.exists()

    def obeyed(self) -> None:
        self._path.unlink(missing_ok=True)
        sync_directory(self._path.parent)
