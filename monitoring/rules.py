"""What the monitor holds the models to: windows, budget, tolerances, holds and limits, as plain values.

Laws
- Rules decide nothing by themselves; two monitors with equal rules and equal logs send equal events.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitoring.window import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Lengths in seconds of event time, tolerances in PSI (drift) and share of rows (skew).

    `tolerances`: drift tolerance by model name, in place of what training varied by; `collapse_ratio`: of its training share,
    below which a category has collapsed; `volume_ratio`: so many times more or fewer rows an hour never matter.
    """

    traffic_window_s: int = 300
    shadow_window_s: int = 3600
    drift_windows_s: tuple[int, ...] = (3600, 86_400)
    budget_alarms_per_30_days: float = 1.0
    n_min: int = 100
    confidence: float = 0.999
    tolerance_floor: float = 0.01
    skew_tolerance: float = 0.01
    collapse_ratio: float = 0.2
    volume_ratio: float = 2.0
    clear_ratio: float = 0.8
    tolerances: Mapping[str, float] = field(default_factory=dict)
    hold_s: int = 60
    cooldown_s: int = 3600
    lateness_s: int = 5
    keys_max: int = 200
    state_bytes_max: int = 128 * 1024 * 1024

    @property
    def traffic_span(self) -> Span:
        return Span.of(self.traffic_window_s)

    @property
    def drift_spans(self) -> dict[int, Span]:
        """The drift windows by their length in seconds."""
        return {window_s: Span.of(window_s) for window_s in self.drift_windows_s}

    @property
    def longest_minutes(self) -> int:
        """Minutes that the longest window can reach back."""
        spans = [self.traffic_span, *self.drift_spans.values()]
        return max(span.slices_max * span.slice_minutes for span in spans)
