"""How is the log read so that no writer is taken to be ahead of another?

Law: a chunk is settled when it was read to the end, or was not cut at `records_max`: the reader merges writers by event
time, so only a cut can leave one behind.
"""

from pathlib import Path

from service.featurelog.chunk import Chunk, Positions
from service.featurelog.reader import LogReader


class Intake:
    """Reads chunks and says whether they are settled; can go back to earlier positions."""

    def __init__(self, root: Path, positions: Positions, records_max: int) -> None:
        self._root, self._records_max = root, records_max
        self._reader = LogReader(root, positions)

    @property
    def positions(self) -> Positions:
        return self._reader.positions

    def read(self) -> tuple[Chunk, bool]:
        """The next chunk, and whether it is settled."""
        chunk = self._reader.read(self._records_max)
        return chunk, chunk.caught_up or sum(len(run.records) for run in chunk.runs) < self._records_max

    def lag_bytes(self) -> int:
        return self._reader.lag_bytes()

    def go_back(self, positions: Positions) -> None:
        """Reads again from here."""
        self._reader.close()
        self._reader = LogReader(self._root, positions)
