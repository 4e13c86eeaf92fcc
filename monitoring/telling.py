"""What of the state does a story need: the counts and samples of every version and arm of a model.

Laws
- Only minutes that a replay of the incident reads as well are told of, so it tells the same.
- A story that fails stops no event: it is counted and noted, and the incident is told without one. Neither an event's id nor
  a verdict hangs on a story.
"""

from collections.abc import Callable, Mapping
from traceback import format_exception

from monitoring.explain.scene import Arm
from monitoring.explain.story import Story
from monitoring.explain.tell import tell
from monitoring.judge import Judgement
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.state import ARM_SHADOW, UNTOLD_MAX, State, Untold, Version
from monitoring.verdict import LABEL


def story_or_none(state: State, version: Version, number: int, told: Callable[[], Story | None]) -> Story | None:
    """What is told, also where telling it fails: then None, `untold` counts it, and `state.untold` says why."""
    try:
        story = told()
        return story if story is not None and story.sentence else None  # a sentence that fails does so here
    except Exception as error:  # the border of a story: it only explains what was found, and memory may be short for it
        state.counters.untold += 1
        if len(state.untold) < UNTOLD_MAX:
            state.untold.append(Untold(version, number, "".join(format_exception(error))))
        return None


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
