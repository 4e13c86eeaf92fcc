"""How many rows may a key still ask for? A bucket a key, of tokens that are rows.

Laws
- In any t seconds no more than capacity + rate × t rows are granted, one request that is larger than the capacity apart: it is
  granted from a full bucket, which then owes the difference.
- Who waits as long as he was told, and has the key to himself meanwhile, is granted what he asked for.
- There are no more buckets than keys.
"""

from collections.abc import Set as AbstractSet

from models.keys import Holder

_ROUNDING_ROWS = 1e-6  # what sums of floats may lack: nobody waits for it


class Bucket:
    """Of one key in one worker; `share` is the worker's part of what the key may have. Time is monotonic, in seconds."""

    __slots__ = ("_at_s", "_rows", "burst_rows", "rows_per_s")

    def __init__(self, rows_per_s: float, burst_rows: float, now_s: float) -> None:
        self.rows_per_s, self.burst_rows = rows_per_s, burst_rows
        self._rows, self._at_s = burst_rows, now_s

    def wait_s(self, rows: int, now_s: float, share: float) -> float:
        """How long until so many rows would be granted; 0: now."""
        rate, capacity = self.rows_per_s * share, max(1.0, self.burst_rows * share)
        self._rows = min(capacity, self._rows + max(0.0, now_s - self._at_s) * rate)
        self._at_s = now_s
        lacking = min(rows, capacity) - self._rows
        return lacking / rate if lacking > _ROUNDING_ROWS else 0.0

    def take(self, rows: int, now_s: float, share: float) -> float:
        """Grants them, and is 0; or how long to wait, and nothing is granted."""
        wait_s = self.wait_s(rows, now_s, share)
        if not wait_s:
            self._rows -= rows
        return wait_s


class Allowances:
    """The buckets of one worker."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def of(self, holder: Holder, now_s: float) -> Bucket:
        """Of a key that has a limit. A limit that was changed begins with a full bucket."""
        found = self._buckets.get(holder.id)
        if found is None or (found.rows_per_s, found.burst_rows) != (holder.rows_per_s, holder.burst_rows):
            found = self._buckets[holder.id] = Bucket(holder.rows_per_s, holder.burst_rows, now_s)
        return found

    def retain(self, ids: AbstractSet[str]) -> None:
        """Forgets the keys that are no more."""
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if key in ids}
