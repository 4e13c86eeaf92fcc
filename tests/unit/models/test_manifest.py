from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ContractInvalid
from models.manifest import KNOWN, REQUIRED, FileEntry, Manifest

FILES = st.fixed_dictionaries(
    {name: st.binary(max_size=40) for name in REQUIRED},
    optional={name: st.binary(max_size=40) for name in KNOWN if name not in REQUIRED},
)
ENTRY = FileEntry("model.onnx", 1, "0" * 64)
CONTRACT = FileEntry("contract.json", 1, "0" * 64)


@given(FILES)
def test_a_manifest_comes_back_from_its_bytes_with_its_digest(files: dict[str, bytes]) -> None:
    manifest = Manifest.of(files)
    assert Manifest.decode(manifest.encode()) == manifest
    assert manifest.digest == "sha256:" + sha256(manifest.encode()).hexdigest()


@given(FILES, st.randoms())
def test_the_order_of_the_files_does_not_change_the_digest(files: dict[str, bytes], random: object) -> None:
    names = list(files)
    random.shuffle(names)  # type: ignore[attr-defined]
    assert Manifest.of({name: files[name] for name in names}).digest == Manifest.of(files).digest


@given(FILES, st.data())
def test_any_changed_byte_changes_the_digest(files: dict[str, bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(files)))
    at = data.draw(st.integers(0, len(files[name])))
    changed = files[name][:at] + b"!" + files[name][at:]
    assert Manifest.of({**files, name: changed}).digest != Manifest.of(files).digest


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ((ENTRY, CONTRACT), "sorted by name"),
        ((CONTRACT, CONTRACT, ENTRY), "each once"),
        ((CONTRACT, FileEntry("evil.sh", 1, "0" * 64), ENTRY), "'evil.sh'"),
        ((ENTRY,), "no contract.json"),
    ],
)
def test_a_manifest_of_other_files_cannot_be_built(entries: tuple[FileEntry, ...], says: str) -> None:
    with pytest.raises(ContractInvalid) as refused:
        Manifest(entries)
    assert says in str(refused.value)


@pytest.mark.parametrize(("size", "digest"), [(-1, "0" * 64), (1, "0" * 63), (1, "../" + "0" * 61), (1, "A" * 64)])
def test_an_entry_without_a_true_size_and_hash_cannot_be_built(size: int, digest: str) -> None:
    with pytest.raises(ContractInvalid):
        FileEntry("model.onnx", size, digest)


@given(st.binary(max_size=64))
def test_bytes_that_are_no_manifest_are_refused_in_one_way(data: bytes) -> None:
    with pytest.raises(ContractInvalid):
        Manifest.decode(data)
