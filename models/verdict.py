"""What did the trial of a version say, and for how long does it hold?

Laws
- A verdict is of a digest, in surroundings (our rules, runtime, machine) and within limits; in others it is tried again.
- What was refused for want of time or memory may have met a busy machine: that is forgotten after RETRY_AFTER_S.
- A trial that somebody ended (a service manager that stops all processes of a service) has no verdict that holds.
"""

from typing import Self

import msgspec

from models.errors import ArtifactRefused, Reason

RETRY_AFTER_S = 300
SENTENCE_CHARS = 1_000  # of what a trial says; names in a graph and the runtime's reasons may be long


_OF_THE_MOMENT = frozenset({Reason.MEMORY, Reason.TIME, Reason.CRASH})


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the process of a trial may use; memory beyond what the runtime takes without a model."""

    memory_bytes: int
    cpu_s: int
    wall_s: float
    rows: int


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """`where` as it follows the name of the version: empty, or `, node …`."""

    reason: Reason
    where: str
    found: str
    expected: str

    @classmethod
    def of(cls, reason: Reason, where: str, found: str, expected: str, *, ref: str = "") -> Self:
        """Clipped; the version's name is taken from `where`, because the same bytes may have others."""
        place = where.removeprefix(ref) if ref else where
        if place and place[0] not in ", :":
            place = f", {place}"
        return cls(reason=reason, where=_clipped(place), found=_clipped(found), expected=_clipped(expected))

    def error(self, ref: str) -> ArtifactRefused:
        return ArtifactRefused(f"{ref}{self.where}", self.found, self.expected, self.reason)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`at_s`: since 1970; `took_s`: how long the trial was."""

    digest: str
    surroundings: str
    limits: Limits
    at_s: float
    took_s: float
    refusal: Refusal | None = None

    def holds(self, digest: str, surroundings: str, limits: Limits, now_s: float) -> bool:
        """May it be taken instead of another trial?"""
        if (self.digest, self.surroundings, self.limits) != (digest, surroundings, limits):
            return False
        if self.refusal is not None and self.refusal.reason is Reason.INTERRUPTED:
            return False
        passing = self.refusal is not None and self.refusal.reason in _OF_THE_MOMENT
        return not passing or 0 <= now_s - self.at_s < RETRY_AFTER_S


def _clipped(text: str) -> str:
    return text if len(text) <= SENTENCE_CHARS else text[:SENTENCE_CHARS] + "…"
