"""Versions in a real OCI registry: pulled by digest, whatever its tags say now; a changed byte is refused."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from models.errors import ArtifactMismatch, SourceUnavailable
from models.fetch import Fetcher
from models.lock import Lock, Pin
from models.lock_file import LockFile
from models.manifest import CONTRACT, MODEL, SIGNATURE
from models.registry import Registry
from models.sources.credentials import Credentials
from models.sources.modelpack import pack
from models.sources.oci import OciSource
from models.sources.web import Access
from tests.oci_registry import COMMAND, OciRegistry, auth_json, missing, oci_registry, with_passwords
from tests.onnx_models import mixed, mixed_contract
from tests.processes import environment, home, plumbline, served
from tests.token_server import BASIC, token_server
from tests.unit.service.serving import ROW

pytestmark = [pytest.mark.integration, pytest.mark.skipif(missing(), reason=f"{COMMAND} is not installed")]

SAY_S = 60
FIRST = {MODEL: mixed(), CONTRACT: mixed_contract().encode()}
SECOND = {MODEL: mixed(bias=2), CONTRACT: mixed_contract().encode()}
REPOSITORY = "models/mixed"
OPEN = Access()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OciRegistry]:
    with oci_registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


def pushed(registry: OciRegistry, files: dict[str, bytes], tag: str, repository: str = REPOSITORY) -> str:
    """The source under its digest."""
    return OciSource(Access()).push(registry.source(repository, tag), pack(files, name="mixed", version="1"))


def fetcher(place: Path, access: Access = OPEN) -> Fetcher:
    return Fetcher(Registry(place / "registry"), {"oci": OciSource(access)})


def pinned(place: Path, source: str) -> Pin:
    taken = fetcher(place).take(source, ref="mixed:1")
    return Pin(name="mixed", version="1", digest=taken.digest, source=taken.source)


def say(place: Path, *words: str | Path, code: int = 0, **changes: str) -> Any:
    """What the command prints as JSON, or what it says of its failure."""
    told = [*words, "--home", place, *(["--json"] if code == 0 else [])]
    env = environment(**changes)
    ran = subprocess.run(plumbline(*told), capture_output=True, text=True, timeout=SAY_S, check=False, env=env)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return msgspec.json.decode(ran.stdout) if code == 0 else ran.stderr


def test_what_was_pushed_is_pulled_under_its_digest_signature_included(tmp_path: Path, registry: OciRegistry) -> None:
    source = pushed(registry, {**FIRST, SIGNATURE: b"signed"}, "one")
    assert source == pushed(registry, {**FIRST, SIGNATURE: b"signed"}, "two")
    offer = OciSource(Access()).fetch(source, ref="mixed:1")
    assert (offer.files, offer.signature) == (FIRST, b"signed")
    assert OciSource(Access()).resolve(registry.source(REPOSITORY, "one")) == source


def test_a_tag_is_resolved_when_a_version_is_pinned_and_where_it_moves_is_ignored(
    tmp_path: Path, registry: OciRegistry
) -> None:
    pushed(registry, FIRST, "prod")
    pin = pinned(tmp_path / "here", registry.source(REPOSITORY, "prod"))
    moved = pushed(registry, SECOND, "prod")
    assert OciSource(Access()).resolve(registry.source(REPOSITORY, "prod")) == moved != pin.source
    assert fetcher(tmp_path / "elsewhere").sync(pin)
    assert Registry(tmp_path / "elsewhere/registry").read_files(pin.digest, pin.ref) == FIRST
    assert pinned(tmp_path / "later", registry.source(REPOSITORY, "prod")).digest != pin.digest


@pytest.mark.parametrize("part", ["manifest", "model"])
def test_a_byte_that_was_changed_in_the_registry_is_refused_and_nothing_is_installed(
    tmp_path: Path, registry: OciRegistry, part: str
) -> None:
    changed = {
        **FIRST,
        MODEL: mixed(bias=3 if part == "model" else 4),
    }  # blobs of its own: the others' stay as they are
    packed = pack(changed, name="mixed", version=part)
    source = OciSource(Access()).push(registry.source(f"changed/{part}", "1"), packed)
    pin = Pin(
        name="mixed", version="1", digest=fetcher(tmp_path / "here").take(source, ref="m:1").digest, source=source
    )
    digest = packed.digest if part == "manifest" else next(d for d, b in packed.blobs.items() if b == changed[MODEL])
    file = registry.blob(digest)
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"title", b"tytle") if part == "manifest" else whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ArtifactMismatch, match="not loading it"):
        fetcher(tmp_path / "elsewhere").sync(pin)
    assert not (tmp_path / "elsewhere/registry").exists()
    assert not fetcher(tmp_path / "here").sync(pin)  # who has it does not ask


def test_only_who_may_read_reads_and_the_password_is_told_to_nobody(tmp_path: Path) -> None:
    with oci_registry(tmp_path / "closed", auth=with_passwords(tmp_path / "closed")) as closed:
        known = Access(credentials=Credentials.decode(auth_json(closed.host), "auth.json"))
        source = OciSource(known).push(closed.source(REPOSITORY, "1"), pack(FIRST, name="mixed", version="1"))
        assert OciSource(known).fetch(source, ref="m:1").files == FIRST
        wrong = Access(credentials=Credentials.decode(auth_json(closed.host, password="other"), "auth.json"))
        for access in (Access(), wrong):
            with pytest.raises(SourceUnavailable, match="answered 401") as refused:
                OciSource(access).fetch(source, ref="m:1")
            assert "other" not in str(refused.value)
        place = home(tmp_path)
        pin = say(place, "models", "pin", "mixed", "1", source, PLUMBLINE_SOURCES_AUTH=auth_json(closed.host))
        assert pin["source"] == source
        assert "sesame" not in "".join(path.read_text("latin-1") for path in place.rglob("*") if path.is_file())


def test_a_token_is_fetched_where_the_registry_sends_us(tmp_path: Path) -> None:
    with (
        token_server(tmp_path / "tokens") as (tokens, auth),
        oci_registry(tmp_path / "guarded", auth=auth) as guarded,
    ):
        known = Access(credentials=Credentials.decode(auth_json(guarded.host), "auth.json"))
        packed = pack(FIRST, name="mixed", version="1")
        with pytest.raises(SourceUnavailable, match="answered 401"):
            OciSource(Access()).push(guarded.source(REPOSITORY, "1"), packed)
        source = OciSource(known).push(guarded.source(REPOSITORY, "1"), packed)
        assert OciSource(Access()).fetch(source, ref="m:1").files == FIRST
        assert [authorization for _, authorization in tokens.asked] == [None, BASIC, None]


def test_a_registry_that_is_down_at_the_start_stops_nobody_who_has_the_version(tmp_path: Path) -> None:
    place = home(tmp_path)
    with oci_registry(tmp_path / "registry") as registry:
        pushed(registry, FIRST, "prod")
        pinned = say(place, "models", "pin", "mixed", "1", registry.source(REPOSITORY, "prod"))
        assert pinned["stable"] and "@sha256:" in pinned["source"]
        other = pushed(registry, SECOND, "other", "models/other")
        say(place, "models", "pin", "other", "1", other)
    digest = LockFile(place / "models.lock.toml").read().find("other", "1").digest  # type: ignore[union-attr]
    Registry(place / "registry").place(digest).rename(tmp_path / "lost")
    with served(place) as (process, url):
        answer = httpx.post(f"{url}/v1/models/mixed:predict", json={"instances": [ROW]}, trust_env=False)
        assert answer.status_code == 200, answer.text
        missing = httpx.post(f"{url}/v1/models/other:predict", json={"instances": [ROW]}, trust_env=False)
        assert missing.status_code == 503
        assert "versions that are here serve on" in process.output()
    told = say(place, "models", "sync", code=3)
    assert registry.host in told and "mixed" not in told.replace(REPOSITORY, "")


def test_a_version_goes_from_one_home_to_another_through_a_registry(tmp_path: Path, registry: OciRegistry) -> None:
    maker, server = home(tmp_path), tmp_path / "server"
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(mixed(bias=5))
    added = say(maker, "models", "add", graph, "--name", "mixed")
    pushed = say(maker, "models", "push", "mixed:1", registry.source("handed/on", "1"))
    assert pushed["digest"] == added["digest"]
    say(maker, "models", "pin", "mixed", "1", pushed["source"])
    lock = Lock.decode((maker / "models.lock.toml").read_text())
    assert [pin.source for pin in lock.pins] == [pushed["source"]]
    server.mkdir()
    (server / "models.lock.toml").write_text(lock.encode())
    assert say(server, "models", "sync") == [{"version": "mixed:1", "fetched": True}]
    assert Registry(server / "registry").read_files(added["digest"], "mixed:1")[MODEL] == graph.read_bytes()
