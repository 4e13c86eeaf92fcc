import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.errors import ArtifactMismatch, ArtifactMissing, ContractInvalid, ModelError
from models.lock import Pin
from models.manifest import CARD, CONTRACT, DOCUMENT_BYTES_MAX, MODEL, MODEL_BYTES_MAX, Manifest
from models.registry import Registry
from models.session import Session
from tests.onnx_models import mixed, mixed_contract

FILES = {MODEL: mixed(), CONTRACT: mixed_contract().encode(), CARD: b"{}"}
DIGEST = Manifest.of(FILES).digest


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    found = Registry(tmp_path / "registry")
    assert found.install(FILES) == DIGEST
    return found


def pin(source: str, digest: str = DIGEST) -> Pin:
    return Pin(name="m", version="1", digest=digest, source=source)


def test_what_was_installed_is_read_back_and_nothing_else_is_left(registry: Registry) -> None:
    assert registry.read_files(DIGEST, "m:1") == FILES
    assert [path.name for path in registry.root.iterdir()] == [DIGEST.replace(":", "-")]
    assert registry.model(pin("file:x")) == FILES[MODEL]
    assert registry.contract(pin("file:x")) == mixed_contract()


def test_installing_again_changes_nothing(registry: Registry) -> None:
    inode = registry.place(DIGEST).stat().st_ino
    assert registry.install(FILES) == DIGEST
    assert registry.place(DIGEST).stat().st_ino == inode


@pytest.mark.parametrize("name", [MODEL, CONTRACT, CARD])
def test_a_changed_byte_is_refused_with_the_sentence(registry: Registry, name: str) -> None:
    path = registry.place(DIGEST) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ArtifactMismatch) as refused:
        registry.read_files(DIGEST, "m:1")
    actual, expected = refused.value.actual, refused.value.expected
    assert actual != expected
    assert str(refused.value) == (
        f"m:1 {name}: artefact is sha256:{actual[:12]}, lock pins sha256:{expected[:12]}; not loading it"
    )


def test_every_single_byte_of_a_model_is_held_by_the_digest(registry: Registry) -> None:
    path = registry.place(DIGEST) / MODEL
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ArtifactMismatch):
            registry.read_files(DIGEST, "m:1")
    path.write_bytes(whole)
    registry.read_files(DIGEST, "m:1")


def test_a_manifest_of_other_files_is_refused(registry: Registry) -> None:
    other = {**FILES, CARD: b"{ }"}
    (registry.place(DIGEST) / CARD).write_bytes(other[CARD])
    (registry.place(DIGEST) / "manifest.json").write_bytes(Manifest.of(other).encode())
    with pytest.raises(ArtifactMismatch, match="not loading it"):
        registry.read_files(DIGEST, "m:1")


@pytest.mark.parametrize("name", ["manifest.json", MODEL, CARD])
def test_a_file_that_is_gone_is_missing_by_name(registry: Registry, name: str) -> None:
    (registry.place(DIGEST) / name).unlink()
    with pytest.raises(ArtifactMissing) as missing:
        registry.read_files(DIGEST, "m:1")
    assert name in str(missing.value) or name == "manifest.json"
    assert "plumbline models sync" in str(missing.value)


def test_a_manifest_that_is_none_is_a_model_error(registry: Registry) -> None:
    (registry.place(DIGEST) / "manifest.json").write_bytes(b"junk")
    with pytest.raises(ContractInvalid):
        registry.read_files(DIGEST, "m:1")


def test_a_manifest_never_leads_out_of_its_directory(registry: Registry) -> None:
    entry = b'{"files":[{"name":"../../x","size":1,"sha256":"%s"}]}' % (b"0" * 64)
    (registry.place(DIGEST) / "manifest.json").write_bytes(entry)
    with pytest.raises(ModelError):
        registry.read_files(DIGEST, "m:1")


@pytest.mark.parametrize(
    "entry",
    [
        b'{"files":[{"name":"model.onnx","size":%d,"sha256":"%s"}]}' % (MODEL_BYTES_MAX + 1, b"0" * 64),
        b'{"files":[{"name":"baseline.json","size":%d,"sha256":"%s"}]}' % (DOCUMENT_BYTES_MAX + 1, b"0" * 64),
        b'{"x":' + b"[" * 60_000,
        b"[" * 1_000_000,
    ],
    ids=["graph", "document", "deep", "long"],
)
def test_a_manifest_that_is_absurd_is_a_model_error(registry: Registry, entry: bytes) -> None:
    (registry.place(DIGEST) / "manifest.json").write_bytes(entry)
    with pytest.raises(ContractInvalid):
        registry.read_files(DIGEST, "m:1")


@pytest.mark.parametrize("link", [Path.hardlink_to, Path.symlink_to])
def test_a_link_is_what_it_leads_to_and_never_more(
    registry: Registry, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    """Links are harmless: what was hashed is in memory, and another time other bytes are refused."""
    place, outside = registry.place(DIGEST) / MODEL, tmp_path / "outside"
    outside.write_bytes(FILES[MODEL])
    place.unlink()
    link(place, outside)
    session = Session(registry.read_files(DIGEST, "m:1")[MODEL], ref="m:1")
    row = {"x": np.ones((1, 2), np.float32), "count": np.ones((1, 1), np.int32), "flag": np.ones((1, 1), bool)}
    before = session.run({**row, "city": np.full((1, 1), "oslo", object)})
    outside.write_bytes(mixed(bias=100))
    assert session.run({**row, "city": np.full((1, 1), "oslo", object)}) == before
    with pytest.raises(ArtifactMismatch):
        registry.read_files(DIGEST, "m:1")


def test_a_pipe_a_directory_and_a_device_are_no_file(registry: Registry) -> None:
    place = registry.place(DIGEST) / MODEL
    for make in (os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")):
        place.unlink(missing_ok=True)
        make(place)
        with pytest.raises(ArtifactMissing):
            registry.read_files(DIGEST, "m:1")
        if place.is_dir():
            place.rmdir()


def test_a_file_that_has_grown_is_refused_before_it_is_read_to_its_end(registry: Registry) -> None:
    os.truncate(registry.place(DIGEST) / MODEL, 1 << 40)  # no machine here has room for it
    with pytest.raises(ArtifactMismatch):
        registry.read_files(DIGEST, "m:1")


def _install(root: str, start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    for _ in range(5):
        assert Registry(Path(root)).install(FILES) == DIGEST


def test_any_number_of_installers_at_once_leave_one_whole_version(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Event()
    workers = [context.Process(target=_install, args=(str(tmp_path), start)) for _ in range(4)]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert Registry(tmp_path).read_files(DIGEST, "m:1") == FILES
    assert [path.name for path in tmp_path.iterdir()] == [DIGEST.replace(":", "-")]


def test_an_installer_that_is_second_accepts_the_first(registry: Registry) -> None:
    place = registry.place(DIGEST)
    inode = place.stat().st_ino
    registry.install(FILES)
    assert place.stat().st_ino == inode


def test_installing_mends_a_damaged_copy(registry: Registry) -> None:
    (registry.place(DIGEST) / MODEL).write_bytes(b"other")
    assert registry.install(FILES) == DIGEST
    assert registry.read_files(DIGEST, "m:1") == FILES
