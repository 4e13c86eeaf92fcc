"""Models as the request path sees them, loaded once a file; a file that needs others has a `home` of its own."""

from pathlib import Path

import pytest

from service.served import ServedVersion
from tests.unit.service.serving import furnish, served


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place: Path = tmp_path_factory.mktemp("home")
    furnish(place)
    return place


@pytest.fixture(scope="module")
def mixed(home: Path) -> ServedVersion:
    return served(home)


@pytest.fixture(scope="module")
def image(home: Path) -> ServedVersion:
    return served(home, "image")
