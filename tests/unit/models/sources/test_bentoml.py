"""Models that BentoML itself put into its store."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from models.errors import ArtifactMissing, ArtifactRefused, SourceInvalid
from models.lock_file import LockFile
from models.manifest import CONTRACT, MODEL
from models.registry import Registry
from models.sources.bentoml import BentomlSource
from service.commands.models import models
from tests.onnx_models import mixed, mixed_contract
from tests.processes import environment

pytestmark = pytest.mark.integration  # importing BentoML takes seconds

SAVE = """
import sys, bentoml
for tag in sys.argv[2:]:
    with bentoml.models.create(tag) as model:
        for name in ("saved_model.onnx", "contract.json"):
            with open(f"{sys.argv[1]}/{name}", "rb") as file, open(model.path_of(name), "wb") as copy:
                copy.write(file.read())
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("bentoml")
    (place / "saved_model.onnx").write_bytes(mixed())
    (place / "contract.json").write_bytes(mixed_contract().encode())
    command = [sys.executable, "-c", SAVE, str(place), "rides:v1", "rides:v2"]
    subprocess.run(command, check=True, timeout=120, env=environment(BENTOML_HOME=str(place / "home")))
    return place / "home"


def source(store: Path, bytes_max: int = 1 << 20) -> BentomlSource:
    return BentomlSource(store, bytes_max=bytes_max)


def test_latest_is_resolved_to_the_version_that_it_names_now(store: Path) -> None:
    assert source(store).resolve("bentoml:rides:latest") == "bentoml:rides:v2"
    assert source(store).resolve("bentoml:rides:v1") == "bentoml:rides:v1"
    with pytest.raises(SourceInvalid, match="does not move"):
        source(store).fetch("bentoml:rides:latest", ref="rides:1")


def test_the_graph_and_our_own_files_are_taken(store: Path) -> None:
    offer = source(store).fetch("bentoml:rides:v1", ref="rides:1")
    assert offer.files == {MODEL: mixed(), CONTRACT: mixed_contract().encode()}


def test_what_is_not_there_or_too_large_is_said(store: Path) -> None:
    with pytest.raises(ArtifactMissing, match="v3"):
        source(store).fetch("bentoml:rides:v3", ref="rides:1")
    with pytest.raises(ArtifactMissing, match="latest"):
        source(store).resolve("bentoml:nothing:latest")
    with pytest.raises(ArtifactRefused, match="at most 100"):
        source(store, 100).fetch("bentoml:rides:v1", ref="rides:1")


def test_the_command_pins_the_version_and_not_latest(tmp_path: Path, store: Path) -> None:
    words = ["pin", "rides", "1", "bentoml:rides:latest", "--home", str(tmp_path), "--json"]
    result = CliRunner().invoke(models, words, env={"PLUMBLINE_BENTOML_STORE": str(store)})
    assert result.exit_code == 0, result.output
    (pin,) = LockFile(tmp_path / "models.lock.toml").read().pins
    assert pin.source == "bentoml:rides:v2"
    assert Registry(tmp_path / "registry").model(pin) == mixed()


@pytest.mark.parametrize(
    "text", ["bentoml:rides", "bentoml:../etc:v1", "bentoml:rides:..", "bentoml:a:b:c", "bentoml:"]
)
def test_what_is_no_tag_leads_nowhere(store: Path, text: str) -> None:
    with pytest.raises(SourceInvalid, match="bentoml:NAME:VERSION"):
        source(store).resolve(text)


def test_a_pointer_that_leads_out_of_the_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models/rides").mkdir(parents=True)
    (tmp_path / "models/rides/latest").write_text("../../etc" + os.linesep)
    with pytest.raises(SourceInvalid, match="expected the name of a version"):
        source(tmp_path).resolve("bentoml:rides:latest")
