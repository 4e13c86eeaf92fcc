"""The samples that the monitor holds, by version and arm, and the stories of the incidents that are open.

Laws
- It is bounded: at most SAMPLE_BYTES a version and arm and a share of `state_bytes_max` together; what comes beyond is
  counted as `unsampled`, and its incidents are told from counts alone.
- It changes no verdict: a fold without samples makes the same events but for their stories.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from monitoring.explain.ladder import SLICES_MAX, Ladder
from monitoring.explain.sample import draw
from monitoring.explain.story import Story
from monitoring.reference import Reference
from service.featurelog.record import Request

Key = tuple[tuple[str, str, str], str]  # (model, version, digest), arm: monitoring.state.Key, which imports this file

SAMPLE_BYTES = 2 * 1024 * 1024  # of one version and arm: some 200 rows a slice at 10 columns, 140 at 23
ROW_BYTES, COLUMN_BYTES = 120, 9  # a row's id, time and hash; a cell and whether it is null
ROWS_MIN, ROWS_MAX = 20, 400  # a slice of fewer shows nothing; one of more costs a merge more than it tells
BYTES_SHARE = 4  # the samples of all versions together take a quarter of what counts may


@dataclass(slots=True)
class Samples:
    """Owned and changed by the state."""

    ladders: dict[Key, Ladder] = field(default_factory=dict)
    stories: dict[tuple[str, str, str], Story] = field(default_factory=dict)  # by version, of its open incident
    unsampled: int = 0

    def take(
        self, key: Key, minute: int, requests: Sequence[Request], reference: Reference, closed: int, bytes_max: int
    ) -> None:
        """Samples the answered rows among a minute's requests."""
        ladder = self.ladders.get(key)
        columns = len(reference.columns)
        if ladder is None or ladder.columns != columns:  # a baseline was added late
            ladder = self._new(key, columns, bytes_max)
        if ladder is None:
            self.unsampled += len(requests)
            return
        below = ladder.below(minute, closed)
        if below >= 0:
            ladder.add(minute, draw(requests, reference, below=below, k=ladder.k), closed)

    def _new(self, key: Key, columns: int, bytes_max: int) -> Ladder | None:
        self.ladders.pop(key, None)
        rows = rows_of(columns)
        new = _bytes(columns, rows)
        if not columns or rows < ROWS_MIN or self.reserved_bytes() + new > bytes_max // BYTES_SHARE:
            return None
        return self.ladders.setdefault(key, Ladder(columns, rows))

    def advance(self, closed: int) -> None:
        """Moves every sample on when a minute was closed."""
        for ladder in self.ladders.values():
            ladder.advance(closed)

    def keep(self, alive: Set[Key]) -> None:
        """Forgets the samples and stories of all others."""
        for key in [key for key in self.ladders if key not in alive]:
            del self.ladders[key]
        versions = {version for version, _ in alive}
        for version in [version for version in self.stories if version not in versions]:
            del self.stories[version]

    def reserved_bytes(self) -> int:
        """What the samples can grow to."""
        return sum(_bytes(ladder.columns, ladder.k) for ladder in self.ladders.values())


def rows_of(columns: int) -> int:
    """Rows of a slice, so that a sample stays within its bytes."""
    return min(ROWS_MAX, SAMPLE_BYTES // _bytes(columns, 1))


def _bytes(columns: int, k: int) -> int:
    return SLICES_MAX * k * (ROW_BYTES + COLUMN_BYTES * columns)
