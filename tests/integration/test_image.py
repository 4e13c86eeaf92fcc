"""The image built from the Dockerfile runs service and monitor as a user that is not root, on a read-only root file system."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from models.demo.tumours import rows, tumours
from tests.integration import images
from tests.processes import answers, free_port

pytestmark = [pytest.mark.integration, pytest.mark.image, pytest.mark.timeout(1200)]

UP_DEADLINE_S = 120  # a first start: demo models installed, two processes, 2 cores shared with the rest of the tests


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[images.Image]:
    if lacks := images.missing():
        pytest.fail(f"the image cannot be built here: missing {', '.join(lacks)}; deselect with -m 'not image'")
    with images.built(tmp_path_factory.mktemp("image")) as image:
        yield image


@pytest.fixture
def volume(tmp_path: Path, image: images.Image) -> Path:
    """An empty volume, owned as the image's own folder is: what an engine does for a named volume."""
    place = tmp_path / "volume"
    place.mkdir()
    owner = (image.root / image.volume.lstrip("/")).stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    tmp_path.chmod(0o755)
    return place


def test_service_and_monitor_run_from_the_image_and_answer(image: images.Image, volume: Path) -> None:
    port, monitor_port = free_port(), free_port()
    command = [*image.command, "--host", "127.0.0.1", "--port", str(port), "--monitor-port", str(monitor_port)]
    service, monitor = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{monitor_port}"
    with images.running(image, command, volume=volume) as process:
        process.wait_until(lambda: answers(f"{service}/readyz"), UP_DEADLINE_S, "the service is ready")
        process.wait_until(lambda: answers(f"{monitor}/healthz"), UP_DEADLINE_S, "the monitor is healthy")
        body = {"instances": rows(tumours())[:1]}
        answer = httpx.post(f"{service}/v1/models/tumours:predict", json=body, trust_env=False)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["predictions"]) == 1
        assert {uid for pid in (process.pid, *process.descendants()) for uid in _uids(pid)} == {10001}
        assert process.terminate() == 0
    assert any(volume.rglob("*.seg")), "the log lies in the volume"


@pytest.mark.parametrize("place", ["/", "/opt/plumbline", "/etc", "/var/lib"])
def test_nobody_writes_into_the_root_not_even_root(image: images.Image, volume: Path, place: str) -> None:
    with images.running(image, _python(f"open('{place}/x', 'w')"), volume=volume, user="0:0") as process:
        assert process.wait(30) == 1
        assert "Read-only file system" in process.output()


@pytest.mark.parametrize("place", ["/tmp", "/var/lib/plumbline"])
def test_the_volume_and_tmp_are_all_that_its_user_can_write(image: images.Image, volume: Path, place: str) -> None:
    with images.running(image, _python(f"open('{place}/x', 'w')"), volume=volume) as process:
        assert process.wait(30) == 0, process.output()


def test_the_image_says_how_it_is_run(image: images.Image) -> None:
    assert image.user == "10001:10001"
    assert image.command == ["plumbline", "up", "--host", "0.0.0.0"]
    assert set(image.config["ExposedPorts"]) == {"3000/tcp", "3001/tcp"}  # type: ignore[call-overload]
    assert "/readyz" in " ".join(image.config["Healthcheck"]["Test"])  # type: ignore[index]


def test_nothing_of_the_building_machine_stays_in_the_image(image: images.Image) -> None:
    for place in ("root/.config/pip/pip.conf", "root/.pip/pip.conf", "root/.cache/pip", "build"):
        assert not (image.root / place).exists()
    configuration = image.root / "etc/pip.conf"
    assert not configuration.exists() or configuration.read_text() == ""


def _python(code: str) -> list[str]:
    return ["/opt/plumbline/bin/python", "-c", code]


def _uids(pid: int) -> list[int]:
    """Real, effective, saved and file system uid."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Uid:"))
    return [int(word) for word in line.split()[1:]]
