import gc
import weakref
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.contract import Contract, Tensor
from models.errors import ArtifactMismatch, ArtifactMissing, ArtifactRefused, ModelError, RunFailed
from models.lock import Pin
from models.pool import Pool
from models.registry import Registry
from tests.onnx_models import echo, image, image_contract, install, mixed, mixed_contract

SAMPLE = {"image": np.ones((1, 2, 2), np.float32)}


def pool(home: Path) -> Pool:
    return Pool(Registry(home / "registry"), threads=1)


def test_a_version_is_loaded_once_and_answers(tmp_path: Path) -> None:
    pin = install(tmp_path, "image", "1", image(), image_contract())
    found = pool(tmp_path)
    version = found.load(pin)
    assert found.load(pin) is version
    assert version.session.run(SAMPLE)[0].tolist() == [4.0]
    assert (version.pin, version.contract) == (pin, image_contract())


def test_the_same_bytes_under_another_name_are_one_session_and_keep_their_names(tmp_path: Path) -> None:
    pin = install(tmp_path, "image", "1", image(), image_contract())
    other = msgspec.structs.replace(pin, version="2")
    found = pool(tmp_path)
    first, second = found.load(pin), found.load(other)
    assert first.session is second.session
    assert (first.pin, second.pin) == (pin, other)


@pytest.mark.parametrize("damage", [b"other", None])
def test_what_does_not_match_its_pin_is_not_loaded_and_remembered_as_failed_until_it_does(
    tmp_path: Path, damage: bytes | None
) -> None:
    pin = install(tmp_path, "image", "1", image(), image_contract())
    path = Registry(tmp_path / "registry").place(pin.digest) / "model.onnx"
    whole = path.read_bytes()
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    found = pool(tmp_path)
    with pytest.raises(ArtifactMismatch if damage else ArtifactMissing):
        found.load(pin)
    assert list(found.failures) == ["image:1"]
    path.write_bytes(whole)
    found.load(pin)
    assert found.failures == {}


def other_name() -> Contract:
    return msgspec.structs.replace(image_contract(), inputs=(Tensor(name="other", datatype="FP32", shape=(-1, 2, 2)),))


def other_type() -> Contract:
    return msgspec.structs.replace(image_contract(), inputs=(Tensor(name="image", datatype="FP64", shape=(-1, 2, 2)),))


def other_order() -> Contract:
    return msgspec.structs.replace(image_contract(), outputs=image_contract().outputs[::-1])


def fewer_outputs() -> Contract:
    return msgspec.structs.replace(image_contract(), outputs=image_contract().outputs[:1])


@pytest.mark.parametrize("contract", [other_name, other_type, other_order, fewer_outputs])
def test_a_contract_that_is_not_of_the_graph_is_refused(tmp_path: Path, contract: object) -> None:
    pin = install(tmp_path, "image", "1", image(), contract())  # type: ignore[operator]
    with pytest.raises(ArtifactRefused, match=r"contract.json"):
        pool(tmp_path).load(pin)


def test_a_graph_that_was_not_inspected_is_not_loaded(tmp_path: Path) -> None:
    for model in (b"junk", image()[:-3]):
        pin = install(tmp_path, "image", f"v{len(model)}", model, image_contract())
        with pytest.raises(ModelError):
            pool(tmp_path).load(pin)


def test_a_graph_that_cannot_be_run_is_not_in_the_pool(tmp_path: Path) -> None:
    """The contract says two places a row, the graph wants four."""
    contract = msgspec.structs.replace(image_contract(), inputs=(Tensor(name="image", datatype="FP32", shape=(-1, 2)),))
    pin = install(tmp_path, "image", "1", image(), contract)
    with pytest.raises(RunFailed):
        pool(tmp_path).load(pin)


def test_a_version_that_is_forgotten_goes_with_the_last_who_holds_it(tmp_path: Path) -> None:
    pins = [
        install(tmp_path, "image", "1", image(), image_contract()),
        install(tmp_path, "mixed", "1", mixed(), mixed_contract()),
    ]
    found = pool(tmp_path)
    first, second = (found.load(pin) for pin in pins)
    watched = weakref.ref(first.session)
    found.retain(frozenset({pins[1].digest}))
    assert found.load(pins[1]) is second
    assert first.session.run(SAMPLE)[0].tolist() == [4.0]
    del first
    gc.collect()
    assert watched() is None
    assert found.load(pins[0]) is not None


def test_the_stamp_changes_when_something_is_installed(tmp_path: Path) -> None:
    found = pool(tmp_path)
    stamps = {found.stamp()}
    for number in range(3):
        install(tmp_path, "echo", str(number), echo({f"x{number}": ("FP32", ["N", 2, 2])}), image_contract())
        stamps.add(found.stamp())
    assert len(stamps) == 4


def test_an_unknown_digest_is_missing(tmp_path: Path) -> None:
    pin = Pin(name="m", version="1", digest="sha256:" + "0" * 64, source="file:x")
    with pytest.raises(ArtifactMissing):
        pool(tmp_path).load(pin)
