"""Where the state and the reading positions lie between runs.

Law: `save` returns after the bytes and the name are on disk, and replaces the old checkpoint in one step: a crash at
any point leaves the old one or the new one, never a mixture.
"""

from pathlib import Path
from zlib import crc32

import msgspec

from models.durable import replace_durably, sync_directory
from models.errors import UNDECODABLE
from monitoring.errors import CheckpointInvalid
from monitoring.rules import Rules
from monitoring.state import State
from monitoring.stored import Stored, restore, store
from service.featurelog.chunk import Positions

NAME = "checkpoint"
MAGIC = b"PLCP1\n"
CRC_BYTES = 4


class _File(msgspec.Struct, frozen=True):
    positions: Positions
    state: Stored


class Checkpoints:
    """The checkpoint of one home; one process writes it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        directory.mkdir(parents=True, exist_ok=True)
        for torn in directory.glob("*.new"):  # a crash while writing; the checkpoint beside it is whole
            torn.unlink()

    def save(self, positions: Positions, state: State) -> None:
        """Replaces the checkpoint; raises OSError when the disk refuses."""
        payload = msgspec.msgpack.encode(_File(positions, store(state)))
        replace_durably(self._path, MAGIC + crc32(payload).to_bytes(CRC_BYTES, "little") + payload)

    def load(self, rules: Rules) -> tuple[Positions, State]:
        """What was saved, or an empty state where there is none. Raises CheckpointInvalid."""
        return read_checkpoint(self._path.parent, rules)

    def put_aside(self) -> Path:
        """Keeps an unreadable checkpoint for whoever looks into it; the newest one only."""
        bad = self._path.with_suffix(".bad")
        self._path.replace(bad)
        sync_directory(self._path.parent)
        return bad


def read_checkpoint(directory: Path, rules: Rules) -> tuple[Positions, State]:
    """What was saved there, also by another process that runs, which is left alone. Raises CheckpointInvalid."""
    path = directory / NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}, State()
    head = len(MAGIC) + CRC_BYTES
    payload = data[head:]
    if data[: len(MAGIC)] != MAGIC or crc32(payload) != int.from_bytes(data[len(MAGIC) : head], "little"):
        raise CheckpointInvalid(str(path), f"{len(data)} bytes that do not check", "a checkpoint of format 1")
    try:
        held = msgspec.msgpack.decode(payload, type=_File)
    except UNDECODABLE as error:
        raise CheckpointInvalid(str(path), str(error), "a checkpoint of format 1") from error
    return held.positions, restore(held.state, rules)
