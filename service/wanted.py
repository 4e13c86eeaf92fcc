"""What does a change of the routes wait for? `<home>/wanted.json`: versions to be loaded though no route needs them yet.

Law: a wish is forgotten WANTED_S after it was last said; what came of it by then is in the routes, or is not wanted any more.
"""

import os
import time
from collections.abc import Collection
from pathlib import Path

import msgspec

from models.errors import UNDECODABLE
from service.routes_change import WAIT_S_MAX

WANTED_S = WAIT_S_MAX
SAY_AGAIN_S = 10.0  # a change that waits looks twenty times a second


class Wanted(msgspec.Struct, frozen=True):
    """Digests, and when they were asked for, since 1970."""

    digests: tuple[str, ...] = ()
    at_s: float = 0.0


class WantedFile:
    """`wanted.json` in the home directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def say(self, digests: Collection[str]) -> None:
        """Replaces what was wanted before. Raises OSError."""
        said, now_s = self._said(), time.time()
        if set(said.digests) == set(digests) and 0 <= now_s - said.at_s < SAY_AGAIN_S:
            return
        aside = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        aside.write_bytes(msgspec.json.encode(Wanted(tuple(sorted(digests)), now_s)))
        aside.rename(self.path)

    def read(self) -> frozenset[str]:
        """What is wanted now."""
        said = self._said()
        return frozenset(said.digests) if 0 <= time.time() - said.at_s < WANTED_S else frozenset()

    def _said(self) -> Wanted:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Wanted)
        except (OSError, *UNDECODABLE):
            return Wanted()
