"""A story as the part `story` of an event's body.

Law: it is bounded by `chars`, the longest that a name may be: what a story holds is few (monitoring/explain/story.py), names
alone are as long as people make them.
"""

from typing import Any

import msgspec

from monitoring.explain.story import ColumnStory, Since, Story
from monitoring.explain.undo import affine

SENTENCE_NAMES = 8  # the sentence is cut at so many names' length


def story_body(story: Story, chars: int) -> dict[str, Any]:
    """The facts and their sentence."""
    return {
        "sentence": _short(story.sentence, SENTENCE_NAMES * chars),
        "since": None if story.since is None else _since(story.since),
        "columns": [_column(column, chars) for column in story.columns],
        "row_faults": [msgspec.to_builtins(fault) for fault in story.row_faults],
        "segment": None if story.segment is None else _cut(msgspec.to_builtins(story.segment), chars),
        "arms": _cut(msgspec.to_builtins(story.arms), chars),
        "moved_with_it": _cut(list(story.moved_with_it), chars),
        "cause": story.cause,
        # Ids are the clients' own text, at most 128 letters; cut ones could not be found again.
        "examples": [msgspec.to_builtins(one) for one in story.examples],
    }


def _since(since: Since) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(since)
    return told


def _column(column: ColumnStory, chars: int) -> dict[str, Any]:
    told = _cut(msgspec.to_builtins(column), chars)
    look, pair = told.pop("look"), affine(column.look)
    return {**told, **look, **({} if pair is None else {"undo": list(pair)})}


def _cut(value: Any, chars: int) -> Any:
    """Every text in it shortened."""
    match value:
        case str():
            return _short(value, chars)
        case dict():
            return {name: _cut(one, chars) for name, one in value.items()}
        case list() | tuple():
            return [_cut(one, chars) for one in value]
        case _:
            return value


def _short(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"
