"""What the monitor holds the models to: windows, budget, tolerances, holds and limits, as plain values.

Laws
- Rules decide nothing by themselves; two monitors with equal rules and equal logs send equal events.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from models.task import Asked
from monitoring.tier import LADDER_MINUTES, Scale, tiers
from monitoring.window import MINUTE_S, Span


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Lengths in seconds of event time, tolerances in PSI (drift) and share of rows (skew).

    `tolerances`: drift tolerance by model name, in place of what training varied by; `collapse_ratio`: of its training share,
    below which a category has collapsed; `volume_ratio`: so many times more or fewer rows an hour never matter; `segments`:
    declarations by model name (monitoring/segments); they are learnt for `segment_learning_s` and `segment_rows_min` rows.
    `loss_tolerance`: rise of the loss that never matters, as a share of the reference's; `label_tasks`: what a person said of a
    model's labels.
    """

    traffic_window_s: int = 300
    shadow_window_s: int = 3600
    drift_windows_s: tuple[int, ...] = tuple(minutes * MINUTE_S for minutes in LADDER_MINUTES)
    budget_alarms_per_30_days: float = 1.0
    n_min: int = 100
    confidence: float = 0.999
    tolerance_floor: float = 0.01
    skew_tolerance: float = 0.01
    collapse_ratio: float = 0.2
    volume_ratio: float = 2.0
    segments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    segments_max: int = 16
    segment_windows_s: tuple[int, ...] = (3600, 14_400, 86_400, 604_800)
    segment_learning_s: int = 604_800
    segment_rows_min: int = 1000
    clear_ratio: float = 0.8
    tolerances: Mapping[str, float] = field(default_factory=dict)
    label_rows_max: int = 50_000
    label_wait_s: int = 45 * 86_400
    label_mature_s: int = 0
    loss_tolerance: float = 0.03
    label_tasks: Mapping[str, Asked] = field(default_factory=dict)
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
    def segment_scales(self) -> dict[int, Scale]:
        """The windows of segments by their length in seconds, the shortest first."""
        return {window_s: Scale.of(window_s) for window_s in sorted(set(self.segment_windows_s))}

    @cached_property
    def segment_tiers(self) -> dict[int, tuple[Scale, ...]]:
        """The same by the length of their slices in minutes."""
        return tiers(tuple(self.segment_scales.values()))

    def tiers_of(self, segment: str) -> dict[int, tuple[Scale, ...]]:
        """The windows of a segment, or of all rows, by the length of their slices in minutes."""
        return self.segment_tiers if segment else self.tiers

    @cached_property
    def longest_minutes(self) -> int:
        """Minutes that the longest window can reach back."""
        span = self.traffic_span
        scales = [*self.scales.values(), *(self.segment_scales.values() if self.segments else ())]
        drift = [scale.minutes + scale.slice_minutes for scale in scales]  # the newest slice is not whole
        longest: int = max(span.slices_max * span.slice_minutes, *drift)
        return longest
