"""What does a change of the routes make of the present document? Orders in, the next document out.

Laws
- The same document, order and pins give the same next document, whoever asks: the admin API, the command, a controller.
- An order is carried out whole or refused (RoutesInvalid): the next document has the next generation and differs from the
  present one; an order that would change nothing is refused too.
- A version that gets a share is pinned. A change that only takes a version out (`Abort`, `Rollback` of a canary) asks for no
  pin: what stands in the way of a rollback is never a formality.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, TypeAlias, assert_never

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from service.errors import RoutesInvalid
from service.routes_document import CanaryEntry, ModelRoutes, Routes, ShadowEntry
from service.routes_errors import RoutesUnchanged

BY_CHARS_MAX = 64
WHY_CHARS_MAX = 1000  # the evidence of a rollout in one sentence
WAIT_S_MAX = 300.0

Percent: TypeAlias = Annotated[float, Meta(ge=0, le=100)]
Version: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Pinned: TypeAlias = Mapping[str, Collection[str]]
"""Model → versions that are pinned."""
_REPLACED = ("stable", "canary", "shadows", "key", "salt")
_OF_THE_AUTHOR = frozenset({"by", "why", "dry_run", "wait_s"})


class _Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What every order may say beside what it wants.

    `generation`: refused where it is no longer the present one. `wait_s`: how long the workers may take to load what gets a
    larger share. `by` and `why` go into the audit log.
    """

    generation: Annotated[int, Meta(ge=0)] | None = None
    dry_run: bool = False
    wait_s: Annotated[float, Meta(ge=0, le=WAIT_S_MAX)] = 10.0
    by: Annotated[str, Meta(max_length=BY_CHARS_MAX)] = ""
    why: Annotated[str, Meta(max_length=WHY_CHARS_MAX)] = ""


class CanaryChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A canary; what is not named is as it is now, the share of a new one 0."""

    version: Version | None = None
    percent: Percent | None = None


class SetRoutes(_Asked, tag_field="do", tag="set", frozen=True):
    """Replaces what is named; what is not named stays. `canary` and `key` may be null: none."""

    stable: Version | UnsetType = UNSET
    canary: CanaryChange | UnsetType | None = UNSET
    shadows: tuple[ShadowEntry, ...] | UnsetType = UNSET
    key: str | UnsetType | None = UNSET
    salt: str | UnsetType = UNSET


class SetCanary(_Asked, tag_field="do", tag="canary", frozen=True):
    """Gives a version a share; without `version` the share of the canary that there is."""

    percent: Percent
    version: Version | None = None


class Promote(_Asked, tag_field="do", tag="promote", frozen=True):
    """Makes the canary stable."""


class Abort(_Asked, tag_field="do", tag="abort", frozen=True):
    """Takes the canary out; stable answers everything."""


class Rollback(_Asked, tag_field="do", tag="rollback", frozen=True):
    """Takes the canary out; where there is none, the version that was stable before is so again. `to` names another."""

    to: Version | None = None


class ReplaceRoutes(_Asked, frozen=True):
    """The routes of all models. A model that is routed and not among them must stand in `remove`.

    `entry` and `applied_generation` are of the document that was read, and ignored.
    """

    models: dict[str, ModelRoutes]
    remove: tuple[str, ...] = ()
    entry: str = ""
    applied_generation: int = 0


Order: TypeAlias = SetRoutes | SetCanary | Promote | Abort | Rollback
"""A change of one model's routes."""


def changed(present: Routes, model: str, order: Order, pinned: Pinned) -> Routes:
    """The next document. Raises RoutesInvalid."""
    entry = present.models.get(model)
    after = _first(model, order) if entry is None else _next(model, entry, order)
    if after == entry:
        raise RoutesUnchanged(model, "routes that are so already", "a change")
    _all_pinned(model, entry, after, pinned)
    return present.with_model(model, after)


def replaced(present: Routes, document: ReplaceRoutes, pinned: Pinned) -> Routes:
    """The next document. Raises RoutesInvalid."""
    for model in present.models:
        if model not in document.models and model not in document.remove:
            raise RoutesInvalid(f"models.{model}", "no routes", f'its routes, or "remove": ["{model}"]')
    if both := sorted(document.models.keys() & set(document.remove)):
        raise RoutesInvalid(f"remove.{both[0]}", "a model that has routes in the same document", "one or the other")
    models = {m: _remembering(present.models.get(m), entry) for m, entry in document.models.items()}
    after = Routes(present.generation + 1, models, present.entry)
    after.policies()
    if after.models == present.models:
        raise RoutesInvalid("models", "routes that are so already", "a change")
    for model, entry in models.items():
        _all_pinned(model, present.models.get(model), entry, pinned)
    return after


def named(order: Order | ReplaceRoutes) -> frozenset[str]:
    """Versions that an order sets by name, also where they are set already: whoever names one wants it served."""
    if not isinstance(order, SetRoutes):
        return frozenset()
    stable = () if isinstance(order.stable, UnsetType) else (order.stable,)
    canary = (order.canary.version,) if isinstance(order.canary, CanaryChange) else ()
    shadows = () if isinstance(order.shadows, UnsetType) else [shadow.version for shadow in order.shadows]
    return frozenset(version for version in (*stable, *canary, *shadows) if version is not None)


def skips_the_wait(order: Order | ReplaceRoutes) -> bool:
    """Whether it is done at once, whoever has loaded what: what an incident waits for."""
    return isinstance(order, Abort | Rollback)


def behind(needed: Mapping[str, str], workers: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    """Worker → what it has not loaded of `needed` (name:version → digest); `workers`: what each has loaded, so too."""
    late = {
        name: tuple(ref for ref, digest in needed.items() if has.get(ref) != digest) for name, has in workers.items()
    }
    return {name: refs for name, refs in late.items() if refs}


def reasons(refs: Collection[str], problems: Iterable[str]) -> dict[str, str]:
    """Why these versions are not loaded, as far as workers say so: a problem begins with the version that it is of."""
    found: dict[str, str] = {}
    for problem in problems:
        ref, _, reason = problem.partition(": ")
        if ref in refs:
            found.setdefault(ref, reason)
    return dict(sorted(found.items()))


def asked_by(order: Order | ReplaceRoutes) -> msgspec.Raw:
    """What was asked, for the audit log: the order without its author, and without the routes that the entry has anyway."""
    said: dict[str, Any] = msgspec.to_builtins(order)
    if isinstance(order, ReplaceRoutes):
        said = {"do": "replace", **{name: said[name] for name in ("generation", "remove") if name in said}}
    return msgspec.Raw(msgspec.json.encode({name: value for name, value in said.items() if name not in _OF_THE_AUTHOR}))


def _first(model: str, order: Order) -> ModelRoutes:
    if not isinstance(order, SetRoutes) or order.stable is UNSET:
        raise RoutesInvalid(model, "no routes", "a stable version (`set`) as the model's first route")
    return _set(model, ModelRoutes(stable=order.stable), order)


def _next(model: str, entry: ModelRoutes, order: Order) -> ModelRoutes:
    match order:
        case SetRoutes():
            return _remembering(entry, _set(model, entry, order))
        case SetCanary(version=version, percent=percent):
            return replace(entry, canary=_challenger(model, entry, CanaryChange(version=version, percent=percent)))
        case Promote():
            canary = _canary(model, entry)
            return replace(entry, stable=canary.version, previous=entry.stable, canary=None)
        case Abort():
            _canary(model, entry)
            return replace(entry, canary=None)
        case Rollback(to=to):
            return _back(model, entry, to)
        case _:
            assert_never(order)


def _set(model: str, entry: ModelRoutes, order: SetRoutes) -> ModelRoutes:
    named = {name: value for name in _REPLACED if (value := getattr(order, name)) is not UNSET}
    if isinstance(order.canary, CanaryChange):
        named["canary"] = _challenger(model, entry, order.canary)
    return replace(entry, **named)


def _challenger(model: str, entry: ModelRoutes, change: CanaryChange) -> CanaryEntry:
    known = entry.canary
    version = change.version or (known.version if known else None)
    if version is None:
        raise RoutesInvalid(f"{model}.canary", "a share without a version", "a version: there is no canary")
    percent = change.percent if change.percent is not None else known.percent if known else 0.0
    return CanaryEntry(version, percent)


def _canary(model: str, entry: ModelRoutes) -> CanaryEntry:
    if entry.canary is None:
        raise RoutesInvalid(model, "no canary", "a canary to promote or to take out")
    return entry.canary


def _back(model: str, entry: ModelRoutes, to: str | None) -> ModelRoutes:
    if to is None and entry.canary is not None:
        return replace(entry, canary=None)
    stable = to or entry.previous
    if stable is None or (stable == entry.stable and entry.canary is None):
        found = "no canary, and no version that was stable before" if to is None else f"stable {to!r} without a canary"
        raise RoutesInvalid(model, found, "another version to go back to")
    # nothing is known to be good behind the version gone back to: a second rollback must name one
    return replace(entry, stable=stable, canary=None, previous=None)


def _remembering(before: ModelRoutes | None, after: ModelRoutes) -> ModelRoutes:
    """What was stable is where a rollback goes back to, unless the document says otherwise."""
    if before is None or before.stable == after.stable or after.previous not in (None, before.previous):
        return after
    return replace(after, previous=before.stable)


def _all_pinned(model: str, before: ModelRoutes | None, after: ModelRoutes, pinned: Pinned) -> None:
    known = frozenset(pinned.get(model, ()))
    used = _versions(after) - (_versions(before) if before is not None else frozenset())
    for version in sorted(used - known):
        raise RoutesInvalid(model, f"version {version!r}", f"a pinned version ({', '.join(sorted(known)) or 'none'})")


def _versions(entry: ModelRoutes) -> frozenset[str]:
    canary = (entry.canary.version,) if entry.canary else ()
    return frozenset((entry.stable, *canary, *(shadow.version for shadow in entry.shadows)))
