"""What of the state does a story need: the counts and samples of every version and arm of a model.

Law: only minutes that a replay of the incident reads as well are told of, so it tells the same.
"""

from collections.abc import Mapping

from monitoring.explain.scene import Arm
from monitoring.explain.story import Story
from monitoring.explain.tell import tell
from monitoring.judge import Judgement
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.state import ARM_SHADOW, State, Version
from monitoring.verdict import LABEL


def story_of(
    state: State,
    version: Version,
    number: int,
    judgement: Judgement,
    rules: Rules,
    references: Mapping[str, Reference],
) -> Story | None:
    """The story of a version's breach, as far as `number`, the minute that was closed; None where nothing can be said."""
    arms = [
        Arm(
            version=key.version.version,
            arm=key.arm,
            mine=key.version == version,
            reference=references[key.version.digest],
            tiers={minutes: tier.slices for minutes, tier in track.drift.items()},
            ladder=state.samples.ladders.get((key.version, key.arm)),
        )
        for key, track in sorted(state.tracks.items())
        if key.version.model == version.model
        and key.arm != ARM_SHADOW
        and not key.segment
        and key.version.digest in references
    ]
    places = [finding.place for finding in judgement.breaching if finding.check.test != LABEL]
    return tell(arms, places, number + 1 - rules.longest_minutes, number)
