"""What does the server say of itself? Pages of its `/metrics`, what happened between two of them, and quantiles of histograms.

Laws
- Counters are compared, never believed alone: what was there before the run is not of the run.
- A counter that fell was reset by a restart; what is then told is what it counted since.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_SAMPLE = re.compile(r"^(plumbline_\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Samples by name and labels."""

    samples: Mapping[tuple[str, Labels], float]

    def total(self, name: str, **labels: str) -> float:
        """The sum of a family's samples that have these labels."""
        return sum(value for _, value in self._of(name, labels))

    def by(self, name: str, *names: str) -> Counter[tuple[str, ...]]:
        """A family's sums by the values of these labels."""
        found: Counter[tuple[str, ...]] = Counter()
        for labels, value in self._of(name, {}):
            found[tuple(labels.get(one, "") for one in names)] += int(value)
        return found

    def since(self, before: "Page") -> "Page":
        """What was counted between both pages."""
        was = before.samples
        return Page({key: n - was.get(key, 0) if n >= was.get(key, 0) else n for key, n in self.samples.items()})

    def quantile(self, family: str, share: float, **labels: str) -> float | None:
        """Of a histogram, even within a bucket as Prometheus has it; None where nothing was counted."""
        buckets: dict[float, float] = {}
        for said, n in self._of(f"{family}_bucket", labels):
            end = float(said["le"])
            buckets[end] = buckets.get(end, 0) + n
        return _quantile(buckets, share)

    def mean(self, family: str, **labels: str) -> float | None:
        n = self.total(f"{family}_count", **labels)
        return self.total(f"{family}_sum", **labels) / n if n else None

    def _of(self, name: str, labels: Mapping[str, str]) -> Iterator[tuple[Mapping[str, str], float]]:
        for (sample, said), value in self.samples.items():
            if sample == name:
                named = dict(said)
                if all(named.get(key) == wanted for key, wanted in labels.items()):
                    yield named, value


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the service, `at_s` since the run began; None: it could not be seen."""

    at_s: float
    users: int
    page: Page | None
    rss_bytes: int | None


def page_of(text: str) -> Page:
    """Of everything that is ours."""
    found = {}
    for name, labels, value in _SAMPLE.findall(text):
        found[name, tuple(sorted(_LABEL.findall(labels)))] = float(value)
    return Page(found)


def _quantile(buckets: Mapping[float, float], share: float) -> float | None:
    ends = sorted(buckets)
    if not ends or not buckets[ends[-1]]:
        return None
    rank, below, low = share * buckets[ends[-1]], 0.0, 0.0
    for end in ends:
        if buckets[end] >= rank and buckets[end] > below:
            return low if end == float("inf") else low + (end - low) * (rank - below) / (buckets[end] - below)
        below, low = buckets[end], end
    return low
