"""What a reader hands out: runs of records, holes, and where to go on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from service.featurelog.record import Record, Schema

Position = tuple[int, int, int]
"""(epoch, segment number, offset at a frame border)."""
Positions = dict[str, Position]


class Run(NamedTuple):
    """Consecutive records of one writer and epoch as (seq, record), with the schemas that its segments declared so far."""

    writer: str
    epoch: int
    records: list[tuple[int, Record]]
    schemas: Mapping[int, Schema]


@dataclass(frozen=True, slots=True)
class Lost:
    """A hole: `records` is exact when the numbering continues after it, None when it cannot be known yet."""

    writer: str
    epoch: int
    number: int
    records: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one read returned; `caught_up` when nothing more was there to read."""

    runs: tuple[Run, ...]
    lost: tuple[Lost, ...]
    caught_up: bool
