"""What a home needs before it can serve: pins, verified copies, a route a model.

A home without pins gets the demo models that are shipped with the project; a home with pins gets what is missing of them.
"""

from pathlib import Path

import models
from models.durable import exclusively
from models.errors import ModelError
from models.lock import Lock, Pin
from models.lock_file import LockFile
from service.routes_audit import Author, Via
from service.routes_document import ModelRoutes
from service.routes_errors import RoutesOutdated
from service.routes_file import RoutesFile
from service.settings import Settings
from service.sources import fetcher_of

SHIPPED_LOCK = Path(models.__file__).parent / "models.lock.toml"


def seed(settings: Settings) -> list[ModelError]:
    """Makes the home servable; returns what could not be fetched (its models will say so when they are asked)."""
    settings.home.mkdir(parents=True, exist_ok=True)
    lock_file = LockFile(settings.lock_path)
    with exclusively(settings.home / "seeding"):
        if not lock_file.read().pins:
            return _seed_shipped(settings, lock_file)
        return _sync(settings, lock_file.read(), settings.home)


def _seed_shipped(settings: Settings, lock_file: LockFile) -> list[ModelError]:
    shipped = Lock.decode(SHIPPED_LOCK.read_text(), str(SHIPPED_LOCK))
    failed = _sync(settings, shipped, SHIPPED_LOCK.parent)
    lock_file.pin(*(_absolute(pin) for pin in shipped.pins))
    for pin in shipped.pins:
        route_first(RoutesFile(settings.routes_path), pin)
    return failed


def _absolute(pin: Pin) -> Pin:
    place = SHIPPED_LOCK.parent / pin.source.removeprefix("file:")
    return Pin(name=pin.name, version=pin.version, digest=pin.digest, source=f"file:{place}")


def _sync(settings: Settings, lock: Lock, relative_to: Path) -> list[ModelError]:
    try:
        fetcher = fetcher_of(settings, relative_to=relative_to)
    except ModelError as error:  # what is here serves without a source
        return [error]
    failed: list[ModelError] = []
    for pin in lock.pins:
        try:
            fetcher.sync(pin)
        except ModelError as error:
            failed.append(error)
    return failed


def route_first(routes: RoutesFile, pin: Pin) -> bool:
    """Makes a version `stable` where its model has no route yet; returns whether it did."""
    while pin.name not in (present := routes.in_use()).models:
        try:
            first = present.with_model(pin.name, ModelRoutes(stable=pin.version))
            routes.swap(present.generation, first, Author(Via.START, why=f"the first version of {pin.name}"))
        except RoutesOutdated:  # another change went through, or an edit by hand was entered first
            continue
        return True
    return False
