"""Is every pinned version here and whole, and do the routes name pinned ones only?"""

from collections.abc import Iterator
from pathlib import Path

from models.durable import read_regular
from models.errors import ModelError
from models.finding import Finding, bad, ok
from models.lock import Pin
from models.lock_file import LockFile
from models.manifest import Manifest
from models.registry import MANIFEST, MANIFEST_BYTES_MAX, Registry
from service.routes_document import ModelRoutes
from service.routes_errors import RoutesUnreadable
from service.routes_file import RoutesFile
from service.settings import Settings
from service.sources import registry_of

SYNC = "plumbline models sync"
_UNREADABLE = "plumbline routes history, then write the routes again: plumbline routes set MODEL --stable VERSION"


def pinned(settings: Settings, *, deep: bool) -> Iterator[Finding]:
    """Sizes of the files of every pin; `deep`, or where signatures are asked for: every byte of them."""
    try:
        pins = LockFile(settings.lock_path).read().pins
    except ModelError as error:
        yield bad("lock", str(error), "[[model]] tables", f"mend {settings.lock_path}")
        return
    if not pins:
        yield ok("models", "nothing is pinned: the first start pins the demo models", "pinned versions, or none")
        return
    registry = registry_of(settings)
    whole = deep or settings.require_signature
    for pin in pins:
        problem = _read(registry, pin) if whole else _measured(registry.place(pin.digest), pin)
        expected = f"{pin.digest[:19]} whole" + (" to the byte" if whole else ", by size")
        check = f"model {pin.ref}"
        yield bad(check, problem, expected, SYNC) if problem else ok(check, "as pinned", expected)


def routed(settings: Settings) -> Iterator[Finding]:
    """The document as it is; versions that are not pinned are not served."""
    expected = "a document that names pinned versions only"
    try:
        routes = RoutesFile(settings.routes_path).read()
        pins = {(pin.name, pin.version) for pin in LockFile(settings.lock_path).read().pins}
    except RoutesUnreadable as error:
        yield bad("routes", str(error), expected, _UNREADABLE)
        return
    except ModelError:  # the lock, which `pinned` has told of
        return
    missing = [
        (model, one) for model, entry in routes.models.items() for one in _named(entry) if (model, one) not in pins
    ]
    for model, one in missing:
        advice = f"plumbline models pin {model} {one} SOURCE, or plumbline routes set {model} --stable VERSION"
        yield bad("routes", f"{model} names version {one}, which is not pinned", expected, advice)
    if not missing:
        yield ok("routes", f"generation {routes.generation}, {len(routes.models)} models", expected)


def _named(entry: ModelRoutes) -> list[str]:
    canary = [] if entry.canary is None else [entry.canary.version]
    return sorted({entry.stable, *canary, *(shadow.version for shadow in entry.shadows)})


def _read(registry: Registry, pin: Pin) -> str:
    try:
        registry.read_files(pin.digest, pin.ref)
    except ModelError as error:
        return str(error)
    return ""


def _measured(place: Path, pin: Pin) -> str:
    """What is wrong by names and sizes; empty where nothing is."""
    text = read_regular(place / MANIFEST, MANIFEST_BYTES_MAX)
    if text is None:
        return f"{place} has no {MANIFEST}"
    try:
        manifest = Manifest.decode(text)
    except ModelError as error:
        return str(error)
    if manifest.digest != pin.digest:
        return f"{place / MANIFEST} is of {manifest.digest[:19]}"
    for entry in manifest.files:
        path = place / entry.name
        if not path.is_file():
            return f"{path} is missing"
        if (size := path.stat().st_size) != entry.size:
            return f"{path} has {size} bytes of {entry.size}"
    return ""
