"""Which version ended a worker, when is it ejected for that, and what becomes of its routes?

Laws
- A death counts against a version only where nothing else can have been it: the thread that crashed ran it or, where nobody
  knows the thread, the worker ran no other.
- CRASHES deaths of one version within WINDOW_S eject it; what others do in between changes nothing.
- After that the routes of no model name it, but as the stable version of a model that has no other.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, TypeAlias

from msgspec.structs import replace

from service.routes_document import ModelRoutes, Routes

CRASHES = 3  # twice may be the machine; each costs the requests that were under way in one worker
WINDOW_S = 300.0

Deaths: TypeAlias = Mapping[int, tuple[float, ...]]
"""Mark of a version → when it ended a worker, on a monotonic clock, oldest first."""


class Left(NamedTuple):
    """What a dead worker left behind: thread → mark of the version that ran in it, and threads known to have crashed."""

    running: Mapping[int, int]
    crashed: Collection[int]


def culprit(left: Left) -> int | None:
    """The mark of the version that ended the worker; None where it was none, or may have been another."""
    ran_there = {left.running[thread] for thread in left.crashed if thread in left.running}
    suspects = ran_there or set(left.running.values())
    return suspects.pop() if len(suspects) == 1 else None


def counted(deaths: Deaths, mark: int, at_s: float) -> tuple[Deaths, bool]:
    """The deaths with one more, and whether the version is ejected; then its deaths are forgotten."""
    recent = {one: tuple(then_s for then_s in times if at_s - then_s <= WINDOW_S) for one, times in deaths.items()}
    own = (*recent.pop(mark, ()), at_s)
    others = {one: times for one, times in recent.items() if times}
    return (others, True) if len(own) >= CRASHES else ({**others, mark: own}, False)


def without(routes: Routes, model: str, version: str, past: Iterable[str], usable: Collection[str]) -> Routes:
    """The same generation with the version taken out; `past`: what was stable before, newest first."""
    entry = routes.models.get(model)
    if entry is None:
        return routes
    return Routes(routes.generation, {**routes.models, model: _taken_out(entry, version, past, usable)}, routes.entry)


def _taken_out(entry: ModelRoutes, version: str, past: Iterable[str], usable: Collection[str]) -> ModelRoutes:
    kept = replace(
        entry,
        canary=None if entry.canary is not None and entry.canary.version == version else entry.canary,
        shadows=tuple(shadow for shadow in entry.shadows if shadow.version != version),
        previous=None if entry.previous == version else entry.previous,
    )
    if entry.stable != version:
        return kept
    before = [one for one in (kept.previous, *past) if one is not None and one != version and one in usable]
    if not before:
        return kept
    return replace(
        kept, stable=before[0], previous=None, canary=None
    )  # as a rollback does: its canary was held against it
