"""What did people, and receivers, say about alerts: silences, acknowledgements, answers; which of it holds now?

Laws
- Words are only ever added; what holds is a fold over them, so who said what and why stays readable.
- A silence holds from when it was said until it expires, by itself or by a later word; it covers an incident only where it
  covers every check that the incident names, and no check of it is unnamed: what was not silenced is told.
- An acknowledgement stops repetitions of its incident. It ends nothing and sends nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import msgspec

from monitoring.dispatch.facts import Facts

EVERYTHING = "*"
TEXT_CHARS_MAX = 500  # of a name, a reason or a pattern


class Silence(msgspec.Struct, frozen=True, tag="silence", tag_field="said", kw_only=True):
    """Patterns as a shell has them (`*`, `?`, `[…]`); times in seconds since the Unix epoch."""

    id: str
    at_s: float
    by: str
    why: str
    until_s: float
    model: str = EVERYTHING
    version: str = EVERYTHING
    feature: str = EVERYTHING
    check: str = EVERYTHING

    def covers(self, facts: Facts) -> bool:
        """Does it name this incident, whole?"""
        if not (fnmatchcase(facts.model, self.model) and fnmatchcase(facts.version, self.version)):
            return False
        if self.feature == EVERYTHING and self.check == EVERYTHING:
            return True
        named = all(
            fnmatchcase(one.feature, self.feature) and fnmatchcase(one.check, self.check) for one in facts.looks
        )
        return named and bool(facts.looks) and not facts.looks_left_out


class Expire(msgspec.Struct, frozen=True, tag="expire", tag_field="said", kw_only=True):
    """A silence is over from now on."""

    id: str
    at_s: float
    by: str
    why: str = ""


class Ack(msgspec.Struct, frozen=True, tag="ack", tag_field="said", kw_only=True):
    """Somebody knows of this incident."""

    event: str
    at_s: float
    by: str
    why: str = ""


class Answer(msgspec.Struct, frozen=True, tag="answer", tag_field="said", kw_only=True):
    """The version that came of a request for retraining."""

    event: str
    at_s: float
    by: str
    version: str
    why: str = ""


Word = Silence | Expire | Ack | Answer


@dataclass(frozen=True, slots=True)
class Hands:
    """What holds; by silence, and by the event that opened the incident."""

    silences: dict[str, Silence] = field(default_factory=dict)
    expired: dict[str, Expire] = field(default_factory=dict)
    acks: dict[str, Ack] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)

    def until_s(self, silence: Silence) -> float:
        """When it ends, or ended."""
        ended = self.expired.get(silence.id)
        return silence.until_s if ended is None else min(silence.until_s, ended.at_s)

    def active(self, at_s: float) -> list[Silence]:
        """Those that hold at this time."""
        return [one for one in self.silences.values() if one.at_s <= at_s < self.until_s(one)]

    def silence_of(self, facts: Facts, at_s: float) -> Silence | None:
        """The silence that covers this incident for longest; None: nobody silenced it."""
        found = [one for one in self.active(at_s) if one.covers(facts)]
        return max(found, key=self.until_s, default=None)


def hands_of(words: Iterable[Word]) -> Hands:
    """The fold. The first acknowledgement counts, and the last answer."""
    hands = Hands()
    for word in words:
        match word:
            case Silence():
                hands.silences[word.id] = word
            case Expire():
                hands.expired.setdefault(word.id, word)
            case Ack():
                hands.acks.setdefault(word.event, word)
            case Answer():
                hands.answers[word.event] = word
    return hands


def still_said(words: Iterable[Word], at_s: float, keep_s: float) -> list[Word]:
    """What a shorter file must keep: all but silences that ended, and words on incidents that were said, `keep_s` ago."""
    held = list(words)
    hands = hands_of(held)
    over = {one.id for one in hands.silences.values() if hands.until_s(one) < at_s - keep_s}

    def old(word: Word) -> bool:
        match word:
            case Silence() | Expire():
                return word.id in over
            case Ack() | Answer():
                return word.at_s < at_s - keep_s

    return [word for word in held if not old(word)]
