"""`bentoml build` makes a bento of bentofile.yaml, and that bento serves the pinned models from a fresh home."""

import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import bentoml
import httpx
import pytest

from models.demo.simulator import FEATURES
from models.demo.tumours import rows, tumours
from models.lock import Lock
from monitoring.console.files import FILES, STATIC
from tests.processes import ROOT, Process, answers, environment, free_port, home

pytestmark = pytest.mark.integration

BUILD_DEADLINE_S = 120
READY_DEADLINE_S = 90
BENTOML = [sys.executable, "-m", "bentoml"]
PAYMENT = {
    "amount": 24.9,
    "customer_age": None,
    "account_age_days": 400,
    "payments_last_24h": 2,
    "minutes_since_last": 75.5,
    "merchant_category": "groceries",
    "country": "DE",
    "channel": "contactless",
}


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The tag of the bento and the BENTOML_HOME that it lies in."""
    place = tmp_path_factory.mktemp("bentoml")
    run = subprocess.run(
        [*BENTOML, "build", "--output", "tag", str(ROOT)],
        cwd=ROOT,
        env=environment(BENTOML_HOME=str(place)),
        capture_output=True,
        text=True,
        timeout=BUILD_DEADLINE_S,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout.strip().rpartition("__tag__:")[2], place


@pytest.fixture(scope="module")
def service(bento: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the bento, served with a fresh home by an interpreter that has our dependencies and not our code."""
    tag, place = bento
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    address = f"http://127.0.0.1:{port}"
    settings = environment(BENTOML_HOME=str(place), PLUMBLINE_HOME=str(home(folder)))
    python = _interpreter_without_the_project(folder / "venv")
    with Process([python, "-m", "bentoml", "serve", tag, "--port", str(port)], env=settings, cwd=folder) as process:
        process.wait_until(lambda: answers(f"{address}/readyz"), READY_DEADLINE_S, "the bento is ready")
        yield address


def test_the_bento_carries_the_code_the_pins_and_the_artefacts(bento: tuple[str, Path]) -> None:
    tag, place = bento
    source = place / "bentos" / tag.replace(":", "/") / "src"
    lock = Lock.decode((source / "models/models.lock.toml").read_text())
    assert {"payments", "tumours"} <= {pin.name for pin in lock.pins}
    for pin in lock.pins:
        assert (source / "models" / pin.source.removeprefix("file:") / "model.onnx").is_file(), pin.ref


def test_the_bento_carries_the_console(bento: tuple[str, Path]) -> None:
    tag, place = bento
    static = place / "bentos" / tag.replace(":", "/") / "src/monitoring/console/static"
    for name, _ in FILES.values():
        assert (static / name).read_bytes() == (STATIC / name).read_bytes(), name


def test_the_bento_asks_for_the_locked_versions_with_their_hashes(bento: tuple[str, Path]) -> None:
    tag, place = bento
    asked = (place / "bentos" / tag.replace(":", "/") / "env/python/requirements.txt").read_text()
    lock = (ROOT / "requirements.lock").read_text()
    assert _words(asked, "--hash=") == _words(lock, "--hash=")
    assert _words(asked, "") >= _words(lock, "bentoml==")
    assert "://" not in asked, "no index of this machine travels with the bento"


@pytest.mark.parametrize(("model", "row"), [("payments", PAYMENT), ("tumours", rows(tumours())[0])])
def test_the_bento_answers_for_the_pinned_models(service: str, model: str, row: dict[str, object]) -> None:
    answer = httpx.post(f"{service}/v1/models/{model}:predict", json={"instances": [row]}, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["predictions"]) == 1
    assert answer.headers["x-model-version"] == "1"


def test_bentoml_s_own_client_gets_the_same_answer(service: str) -> None:
    assert set(PAYMENT) == set(FEATURES)
    with bentoml.SyncHTTPClient(service) as client:
        native = client.predict(model="payments", instances=[PAYMENT])
    plain = httpx.post(f"{service}/v1/models/payments:predict", json={"instances": [PAYMENT]}, trust_env=False)
    assert json.loads(json.dumps(native))["predictions"] == plain.json()["predictions"]


def _interpreter_without_the_project(place: Path) -> Path:
    """A virtual environment whose packages are links to those of this one, but for the project itself."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True, timeout=60)
    ours = Path(sysconfig.get_path("purelib"))
    theirs = place / ours.relative_to(sys.prefix)
    for entry in ours.iterdir():
        if "plumbline" not in entry.name:
            (theirs / entry.name).symlink_to(entry)
    return place / "bin/python"


def _words(text: str, start: str) -> set[str]:
    return {word for word in text.split() if word.startswith(start)}
