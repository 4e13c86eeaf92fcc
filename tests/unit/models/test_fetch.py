from pathlib import Path

import pytest

from models.errors import (
    ArtifactMismatch,
    ArtifactMissing,
    ArtifactRefused,
    SignatureRefused,
    SourceUnavailable,
    SourceUnknown,
)
from models.fetch import Fetcher
from models.lock import Pin
from models.manifest import BASELINE, CARD, CONTRACT, MODEL, Manifest
from models.registry import Registry
from models.sources.file import FileSource
from models.sources.offer import Offer
from tests.hostile.table import TABLE
from tests.onnx_models import echo, mixed, mixed_contract
from tests.trying import trials

FILES = {MODEL: mixed(), CONTRACT: mixed_contract().encode(), CARD: b"{}"}
DIGEST = Manifest.of(FILES).digest


class Shelf:
    """A source in memory: a name that moves, and what lies under the names that do not."""

    def __init__(self, **offers: Offer) -> None:
        self.offers, self.newest, self.down = offers, next(iter(offers), ""), False

    def resolve(self, source: str) -> str:
        return source.replace("newest", self.newest)

    def fetch(self, source: str, *, ref: str) -> Offer:
        if self.down:
            raise SourceUnavailable(source, "down")
        return self.offers[source.removeprefix("shelf:")]


class OnlySigned:
    """Trusts one word."""

    def check(self, files: object, signature: bytes | None, ref: str) -> None:
        if signature != b"signed":
            raise SignatureRefused(ref, repr(signature), "b'signed'")


def pin(source: str, digest: str = DIGEST) -> Pin:
    return Pin(name="m", version="1", digest=digest, source=source)


def laid_out(place: Path, files: dict[str, bytes]) -> Path:
    place.mkdir()
    for name, data in files.items():
        (place / name).write_bytes(data)
    return place


def fetcher(home: Path, shelf: Shelf | None = None, trust: OnlySigned | None = None) -> Fetcher:
    return Fetcher(Registry(home / "registry", trust), {"file": FileSource(home), "shelf": shelf or Shelf()})


# --- sync ---------------------------------------------------------------------------------------------------------


def test_sync_fetches_what_is_missing_once(tmp_path: Path) -> None:
    laid_out(tmp_path / "source", FILES)
    assert fetcher(tmp_path).sync(pin("file:source"))
    assert Registry(tmp_path / "registry").read_files(DIGEST, "m:1") == FILES
    assert not fetcher(tmp_path).sync(pin("file:source"))


@pytest.mark.parametrize("damage", ["byte", "file", "manifest"])
def test_sync_fetches_a_damaged_copy_again(tmp_path: Path, damage: str) -> None:
    laid_out(tmp_path / "source", FILES)
    registry = Registry(tmp_path / "registry")
    registry.install(FILES)
    place = registry.place(DIGEST)
    match damage:
        case "byte":
            (place / MODEL).write_bytes(b"other")
        case "file":
            (place / CARD).unlink()
        case _:
            (place / "manifest.json").write_bytes(b"junk")
    assert fetcher(tmp_path).sync(pin("file:source"))
    assert registry.read_files(DIGEST, "m:1") == FILES
    assert [path.name for path in registry.root.iterdir()] == [place.name]


def test_sync_refuses_a_source_with_another_digest_and_installs_nothing(tmp_path: Path) -> None:
    laid_out(tmp_path / "source", {**FILES, BASELINE: b"{}"})
    with pytest.raises(ArtifactMismatch, match=r"m:1: artefact is sha256:.*, lock pins sha256:.*; not loading it"):
        fetcher(tmp_path).sync(pin("file:source"))
    assert not (tmp_path / "registry").exists()


def test_sync_says_what_it_cannot_find_or_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match="nowhere"):
        fetcher(tmp_path).sync(pin("file:nowhere"))
    with pytest.raises(SourceUnknown, match="expected one of file:"):
        fetcher(tmp_path).sync(pin("s3:bucket"))
    laid_out(tmp_path / "half", {MODEL: b"x"})
    with pytest.raises(ArtifactMissing, match=r"contract.json"):
        fetcher(tmp_path).sync(pin("file:half"))


def test_what_is_here_is_not_asked_for(tmp_path: Path) -> None:
    shelf = Shelf(one=Offer(FILES))
    assert fetcher(tmp_path, shelf).sync(pin("shelf:one"))
    shelf.down = True
    assert not fetcher(tmp_path, shelf).sync(pin("shelf:one"))


# --- take ---------------------------------------------------------------------------------------------------------


def test_a_moving_name_is_resolved_once(tmp_path: Path) -> None:
    shelf = Shelf(one=Offer(FILES), two=Offer({**FILES, CARD: b'{"two": 2}'}))
    taken = fetcher(tmp_path, shelf).take("shelf:newest", ref="m:1")
    assert (taken.source, taken.digest) == ("shelf:one", DIGEST)
    shelf.newest = "two"
    assert fetcher(tmp_path / "elsewhere", shelf).sync(pin(taken.source, taken.digest))
    assert Registry(tmp_path / "elsewhere/registry").read_files(DIGEST, "m:1") == FILES


def test_a_graph_without_a_contract_gets_its_own_and_always_the_same(tmp_path: Path) -> None:
    graph = echo({"age": ("FP32", ["N", 1])})
    shelf = Shelf(one=Offer({MODEL: graph}))
    taken = fetcher(tmp_path, shelf).take("shelf:one", ref="m:1")
    contract = Registry(tmp_path / "registry").contract(pin(taken.source, taken.digest))
    assert [column.name for column in contract.features] == ["age"]
    assert fetcher(tmp_path / "elsewhere", shelf).sync(pin(taken.source, taken.digest))


@pytest.mark.parametrize("beside", [{}, {CONTRACT: FILES[CONTRACT]}], ids=["alone", "with a contract"])
def test_a_graph_that_may_not_be_loaded_is_not_taken(tmp_path: Path, beside: dict[str, bytes]) -> None:
    with pytest.raises(ArtifactRefused, match="found a pickle"):
        fetcher(tmp_path, Shelf(one=Offer({MODEL: b"\x80\x04K\x01.", **beside}))).take("shelf:one", ref="m:1")
    assert not (tmp_path / "registry").exists()


@pytest.mark.parametrize("contract", [True, False])
def test_what_a_source_offers_is_tried_in_a_process_of_its_own_before_it_is_taken(
    tmp_path: Path, contract: bool
) -> None:
    """Without a contract the graph has to be opened for it: also that is the trial's risk, not ours."""
    hostile = next(one for one in TABLE if not one.inspected and "trial_memory_bytes_max" in one.expected).files()
    offered = hostile if contract else {MODEL: hostile[MODEL]}
    tried = trials(tmp_path / "trials")
    taking = Fetcher(Registry(tmp_path / "registry"), {"shelf": Shelf(one=Offer(offered))}, trials=tried)
    with pytest.raises(ArtifactRefused, match="trial_memory_bytes_max"):
        taking.take("shelf:one", ref="m:1")
    assert not (tmp_path / "registry").exists()


# --- signatures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signature", [None, b"forged"])
def test_what_is_not_signed_is_neither_taken_nor_synced(tmp_path: Path, signature: bytes | None) -> None:
    shelf = Shelf(one=Offer(FILES, signature))
    with pytest.raises(SignatureRefused):
        fetcher(tmp_path, shelf, OnlySigned()).take("shelf:one", ref="m:1")
    with pytest.raises(SignatureRefused):
        fetcher(tmp_path, shelf, OnlySigned()).sync(pin("shelf:one"))
    assert not (tmp_path / "registry").exists()


def test_a_copy_from_before_signatures_were_asked_for_is_not_read_until_it_is_signed(tmp_path: Path) -> None:
    shelf = Shelf(one=Offer(FILES))
    fetcher(tmp_path, shelf).sync(pin("shelf:one"))
    registry = Registry(tmp_path / "registry", OnlySigned())
    with pytest.raises(SignatureRefused):
        registry.read_files(DIGEST, "m:1")
    shelf.offers["one"] = Offer(FILES, b"signed")
    assert fetcher(tmp_path, shelf, OnlySigned()).sync(pin("shelf:one"))
    assert registry.read_files(DIGEST, "m:1") == FILES
    assert registry.signature(DIGEST) == b"signed"


def test_a_signature_comes_to_a_copy_that_has_none_and_never_replaces_one_unasked(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    registry.install(FILES)
    assert registry.signature(DIGEST) is None
    registry.install(FILES, b"signed")
    registry.install(FILES, b"forged")
    assert registry.signature(DIGEST) == b"signed"


def test_a_signature_makes_a_server_look_again(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    registry.install(FILES)
    before = registry.root.stat().st_ctime_ns
    registry.put_signature(DIGEST, b"signed")
    assert registry.root.stat().st_ctime_ns > before
