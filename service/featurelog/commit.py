"""Who may be told that a record is on the device; decides, does no I/O.

Laws
- Nobody is told before an fsync that began after their record was written has returned.
- One fsync at a time; what is written meanwhile is the next group.
- After a failed fsync nobody is told: all records since the last good one come back, in order, to be written again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

W = TypeVar("W")


class Durability(StrEnum):
    """What an acknowledgement outlives."""

    PROCESS = "process"
    DISK = "disk"
    RELAXED = "relaxed"


@dataclass(frozen=True, slots=True)
class Held(Generic[W]):
    """A written record and who waits for it; no frame: somebody who waits for everything before."""

    frame: bytes
    waiter: W


@dataclass(slots=True)
class GroupCommit(Generic[W]):
    """What is written and not known to be on the device."""

    waiting: list[Held[W]] = field(default_factory=list)  # behind the fsync that runs, if one does
    covered: list[Held[W]] = field(default_factory=list)  # by the fsync that runs
    held_bytes: int = 0
    repeated: bool = False  # what is covered was written for the second time

    def hold(self, held: Iterable[Held[W]]) -> None:
        """These are written, in this order behind the others."""
        for one in held:
            self.waiting.append(one)
            self.held_bytes += len(one.frame)

    def begin(self) -> None:
        """An fsync begins now."""
        self.covered, self.waiting = [*self.covered, *self.waiting], []

    def synced(self) -> list[W]:
        """The fsync returned: who may be told."""
        told = [one.waiter for one in self.covered]
        self.held_bytes -= sum(len(one.frame) for one in self.covered)
        self.covered, self.repeated = [], False
        return told

    def failed(self) -> list[Held[W]]:
        """The fsync failed: everything that is held, in order; nothing is held any more."""
        held = [*self.covered, *self.waiting]
        self.covered, self.waiting, self.held_bytes = [], [], 0
        return held
