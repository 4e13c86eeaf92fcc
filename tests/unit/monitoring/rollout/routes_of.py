"""A service's routes in memory, with the audit log and the compare-and-swap of the real admin API."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from monitoring.errors import AdminRefused, MonitorError
from monitoring.rollout.control import BY, Change, Entry, Routes, Share


@dataclass
class RoutesInMemory:
    """One model's; `failing`: raised by the next changes, in turn; `lost`: raised after the next ones were made."""

    entry: Entry | None
    generation: int = 1
    changes: list[Change] = field(default_factory=list)
    failing: list[MonitorError] = field(default_factory=list)
    lost: list[MonitorError] = field(default_factory=list)
    why: list[str] = field(default_factory=list)

    def routes(self, model: str) -> Routes:
        return Routes(self.generation, self.entry, tuple(self.changes))

    def change(self, model: str, order: dict[str, Any]) -> int:
        if self.failing:
            raise self.failing.pop(0)
        if order["generation"] != self.generation:
            raise AdminRefused(409, "routes_conflict", "generation: found another")
        assert order["by"] == BY
        self.why.append(order["why"])
        made = self._make(self._after(order), via="api", by=order["by"])
        if self.lost:
            raise self.lost.pop(0)
        return made

    def by_hand(self, entry: Entry | None) -> int:
        """A person's change."""
        return self._make(entry, via="command", by="ada")

    def _after(self, order: dict[str, Any]) -> Entry:
        assert self.entry is not None
        match order["do"]:
            case "canary":
                return Entry(self.entry.stable, Share(order["version"], order["percent"]))
            case "abort":
                return Entry(self.entry.stable)
            case "promote":
                assert self.entry.canary is not None
                return Entry(self.entry.canary.version)
            case other:
                raise AssertionError(other)

    def _make(self, after: Entry | None, *, via: str, by: str) -> int:
        self.generation += 1
        self.changes.append(Change(self.generation, datetime.now(UTC), via, by, self.entry, after))
        self.entry = after
        return self.generation


def canary(percent: float, version: str = "2", stable: str = "1", **more: Any) -> Entry:
    return Entry(stable, Share(version, percent), **more)
