"""What may a person order of a model's routes and its rollout, and how is it said what that does? Orders in, sentences out.

Law: no order without who gives it and why; both are kept where the order is.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from monitoring.rollout.control import Change, Entry, Moved, Routes, Share, Word

ROUTED = ("promote", "abort", "rollback")  # what the service does; the others are words in the home
SHOWN_MAX = 8  # changes and words, the newest
WAIT_S = 10.0  # for workers that have not loaded what is to answer


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`generation`: of the routes that were looked at, None: of now; `dry_run`: only say what would change."""

    do: Literal["look", "promote", "abort", "rollback", "pause", "resume"]
    by: Annotated[str, Meta(max_length=64)] = ""
    why: Annotated[str, Meta(max_length=1000)] = ""
    generation: Annotated[int, Meta(ge=0)] | None = None
    dry_run: bool = False


class Told(msgspec.Struct, frozen=True):
    """`generation`: what an order that follows must name; `shares`: before and after, of this model, empty where none moves;
    `behind`: versions that workers still have to load; `changes` and `words`: the newest last, who and why.
    """

    model: str
    do: str
    made: bool
    generation: int
    sentence: str
    stable: str
    canary: str | None
    percent: float | None
    paused: bool
    shares: tuple[Moved, ...] = ()
    behind: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    words: tuple[Word, ...] = ()


def missing(asked: Asked) -> str | None:
    """What an order lacks, in words."""
    if asked.do == "look":
        return None
    if not asked.by.strip():
        return "by: found nobody, expected who says so"
    return None if asked.why.strip() else "why: found nothing, expected the reason"


def order_of(asked: Asked, generation: int) -> dict[str, Any]:
    """What the service's admin API is asked."""
    said = {"do": asked.do, "by": asked.by.strip(), "why": asked.why.strip(), "generation": generation}
    return {**said, "dry_run": asked.dry_run, "wait_s": WAIT_S}


def moves(shares: Sequence[Moved], *, made: bool) -> str:
    """Whose share becomes what."""
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    for one in shares:
        if one.arm != "shadow":
            before[one.version] = before.get(one.version, 0.0) + one.before
            after[one.version] = after.get(one.version, 0.0) + one.after
    verb = "answers" if made else "will answer"
    parts = [f"version {name} {verb} {after[name]:g} % ({before[name]:g} % before)" for name in sorted(after)]
    return "; ".join(parts) or "nobody's share moves"


def entry_after(before: Entry | None, shares: Sequence[Moved], model: str) -> Entry | None:
    """A model's routes as a plan leaves them, for who cannot read them any more."""
    after = [one for one in shares if one.model == model and one.after > 0]
    stable = next((one.version for one in after if one.arm == "stable"), None)
    if stable is None:
        return before
    return Entry(stable, next((Share(one.version, one.after) for one in after if one.arm == "canary"), None))


def said(do: str, version: str, *, paused: bool) -> str:
    """What a word about a rollout does; `paused`: it was so before."""
    if do == "pause":
        again = " (it was paused already)" if paused else ""
        return f"no share of version {version} is raised until it is resumed{again}; a rollback is still made"
    ended = "the pause ends" if paused else "it was not paused"
    return (
        f"{ended}, and routes that were changed by hand are handed over again: version {version} gets its step's share"
    )


def told(asked: Asked, model: str, routes: Routes, words: Sequence[Word], sentence: str, **more: Any) -> Told:
    """The answer, as the routes stand now."""
    entry = routes.entry
    canary = None if entry is None else entry.canary
    return Told(
        model=model,
        do=asked.do,
        sentence=sentence,
        stable="" if entry is None else entry.stable,
        canary=None if canary is None else canary.version,
        percent=None if canary is None else canary.percent,
        changes=routes.changes[-SHOWN_MAX:],
        words=tuple(words[-SHOWN_MAX:]),
        **{"made": False, "generation": routes.generation, **more},
    )
