import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ArtifactRefused
from models.manifest import BASELINE, CARD, CONTRACT, MODEL, SIGNATURE
from models.sources.modelpack import ARTIFACT_TYPE, CONFIG_TYPE, PATH_KEYS, digest_of, pack, unpack

FILES = {MODEL: b"graph", CONTRACT: b"{}", CARD: b"{ }"}
PACKED = pack(FILES, name="m", version="1")
OPTIONAL = st.fixed_dictionaries(
    {MODEL: st.binary()}, optional={name: st.binary() for name in (CONTRACT, BASELINE, CARD, SIGNATURE)}
)


@given(OPTIONAL)
def test_what_is_packed_is_found_again_by_name(files: dict[str, bytes]) -> None:
    packed = pack(files, name="m", version="1")
    wanted = unpack(packed.manifest, "m:1", bytes_max=1 << 20)
    assert {name: packed.blobs[layer.digest] for name, layer in wanted.items()} == files
    assert all(digest_of(data) == digest for digest, data in packed.blobs.items())
    assert pack(dict(reversed(files.items())), name="m", version="1") == packed


def test_the_manifest_is_modelpack_s() -> None:
    manifest = json.loads(PACKED.manifest)
    assert (manifest["schemaVersion"], manifest["artifactType"]) == (2, ARTIFACT_TYPE)
    assert manifest["config"]["mediaType"] == CONFIG_TYPE
    assert [layer["annotations"][PATH_KEYS[0]] for layer in manifest["layers"]] == sorted(FILES)
    config = json.loads(PACKED.blobs[manifest["config"]["digest"]])
    assert set(config) == {"descriptor", "config", "modelfs"}  # the specification allows no other
    assert config["modelfs"] == {"type": "layers", "diffIds": [layer["digest"] for layer in manifest["layers"]]}


def changed(**layer: Any) -> bytes:
    manifest = json.loads(PACKED.manifest)
    place = next(
        number for number, one in enumerate(manifest["layers"]) if PATH_KEYS[0] in str(one) and MODEL in str(one)
    )
    manifest["layers"][place] |= layer
    return json.dumps(manifest).encode()


def with_fields(**fields: Any) -> bytes:
    return json.dumps(json.loads(PACKED.manifest) | fields).encode()


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        (b"<html>", "no manifest"),
        (b"[" * 100_000, "no manifest"),
        (b"\xff", "no manifest"),
        (with_fields(mediaType="application/vnd.oci.image.index.v1+json"), "image.index"),
        (with_fields(layers=[]), "no file"),
        (with_fields(layers=json.loads(PACKED.manifest)["layers"] * 2), "twice"),
        (with_fields(layers=json.loads(PACKED.manifest)["layers"] * 100), "300 layers"),
        (changed(digest="sha256:../../etc"), "a sha256 digest"),
        (changed(size=-1), "a sha256 digest and a size"),
        (changed(size=1 << 40), "at most 1000"),
        (changed(size=10**400), "a sha256 digest and a size"),
        (changed(mediaType="application/vnd.cncf.model.weight.v1.tar"), "the file itself"),
        (changed(mediaType="application/vnd.cncf.model.weight.v1.tar+gzip"), "the file itself"),
    ],
)
def test_a_manifest_of_something_else_is_refused(manifest: bytes, told: str) -> None:
    with pytest.raises(ArtifactRefused, match=told):
        unpack(manifest, "m:1", bytes_max=1000)


def test_a_layer_s_name_is_never_a_path() -> None:
    elsewhere = changed(annotations={PATH_KEYS[0]: "../../../graph.onnx"})
    assert set(unpack(elsewhere, "m:1", bytes_max=1000)) == set(FILES)
