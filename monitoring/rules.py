"""What the monitor holds the models to: windows, budget, tolerances, holds and limits, as plain values.

Laws
- Rules decide nothing by themselves; two monitors with equal rules and equal logs send equal events.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from monitoring.tier import LADDER_MINUTES, Scale, tiers
from monitoring.window import MINUTE_S, Span


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Lengths in seconds of event time, tolerances in PSI (drift) and share of rows (skew).

    `tolerances`: drift tolerance by model name, in place of what training varied by.
    """

    traffic_window_s: int = 300
    shadow_window_s: int = 3600
    drift_windows_s: tuple[int, ...] = tuple(minutes * MINUTE_S for minutes in LADDER_MINUTES)
    budget_alarms_per_30_days: float = 1.0
    n_min: int = 100
    confidence: float = 0.999
    tolerance_floor: float = 0.01
    skew_tolerance: float = 0.01
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

    @cached_property
    def scales(self) -> dict[int, Scale]:
        """The drift windows by their length in seconds, the shortest first."""
        return {window_s: Scale.of(window_s) for window_s in sorted(set(self.drift_windows_s))}

    @cached_property
    def tiers(self) -> dict[int, tuple[Scale, ...]]:
        """The drift windows by the length of their slices in minutes."""
        return tiers(tuple(self.scales.values()))

    @cached_property
    def longest_minutes(self) -> int:
        """Minutes that the longest window can reach back."""
        span = self.traffic_span
        drift = (scale.minutes + scale.slice_minutes for scale in self.scales.values())  # the newest slice is not whole
        return max(span.slices_max * span.slice_minutes, *drift)
