import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ArtifactMismatch, SourceInvalid, SourceUnavailable
from models.manifest import CONTRACT, MODEL
from models.sources.modelpack import pack
from models.sources.oci import OciSource, Reference, _same_house
from models.sources.web import Access
from tests.scripted import Asked, scripted

DIGEST = "sha256:" + "0" * 64


def joined(parts: list[str]) -> st.SearchStrategy[str]:
    """With one of the marks that may stand inside a part of a repository's name."""
    return st.sampled_from((".", "_", "__", "-", "--")).map(lambda mark: mark.join(parts))


PACKED = pack({MODEL: b"graph", CONTRACT: b"{}"}, name="m", version="1")


HOSTS = ("localhost", "127.0.0.1:5000", "[::1]:5000", "registry-1.docker.io", "a.example:443", "registry:5000")
PART = st.text("ab0", min_size=1, max_size=4)
PATHS = st.lists(st.lists(PART, min_size=1, max_size=3).flatmap(joined), min_size=1, max_size=3).map("/".join)
TAGS = st.just("") | st.text("aB_0", min_size=1, max_size=1).flatmap(
    lambda one: st.text(".-_aB0").map(f":{one}{{}}".format)
)


@given(st.sampled_from(HOSTS), PATHS, TAGS, st.sampled_from(("", f"@{DIGEST}")))
def test_a_reference_is_read_as_it_is_written(host: str, path: str, tag: str, digest: str) -> None:
    reference = Reference.decode(f"oci:{host}/{path}{tag}{digest}")
    assert (reference.host, reference.repository) == (host, path)
    assert str(reference) == f"oci:{host}/{path}{digest or tag}"
    assert Reference.decode(str(reference)) == reference


@pytest.mark.parametrize(
    "text",
    [
        "oci:models/rides:1",  # no host: nobody is guessed
        "oci:registry.example",
        "oci:registry.example/",
        "oci:registry.example/Rides:1",
        "oci:registry.example/a/../b:1",
        "oci:registry.example/rides@sha256:0",
        "oci:registry.example/rides@sha512:" + "0" * 128,
        "oci:registry.example/rides:1 ",
        "oci:me:pw@registry.example/rides:1",
        "oci:https://registry.example/rides:1",
        "oci:registry.example/rides:1#x",
        "oci:registry.example/" + "a" * 256,
    ],
)
def test_what_is_no_reference_is_refused_before_anybody_is_asked(text: str) -> None:
    with pytest.raises(SourceInvalid, match="nothing was fetched"):
        Reference.decode(text)


def test_only_a_digest_is_fetched_and_only_a_tag_is_pushed_to() -> None:
    source = OciSource(Access())
    with pytest.raises(SourceInvalid, match="does not move"):
        source.fetch("oci:127.0.0.1:9/m:prod", ref="m:1")
    with pytest.raises(SourceInvalid, match="neither tag nor digest"):
        source.resolve("oci:127.0.0.1:9/m")
    with pytest.raises(SourceInvalid, match="the digest follows from the bytes"):
        source.push(f"oci:127.0.0.1:9/m@{DIGEST}", PACKED)
    assert source.resolve(f"oci:127.0.0.1:9/m:prod@{DIGEST}") == f"oci:127.0.0.1:9/m@{DIGEST}"


@pytest.mark.parametrize(
    ("registry", "realm", "same"),
    [
        ("registry-1.docker.io", "auth.docker.io", True),
        ("registry.gitlab.com", "gitlab.com", True),
        ("ghcr.io", "ghcr.io", True),
        ("ghcr.io", "evil.io", False),
        ("registry.docker.io", "docker.io.evil.example", False),
        ("registry.docker.io", "evildocker.io", False),
        ("10.0.0.1", "9.0.0.1", False),
        ("localhost", "localhost", True),
    ],
)
def test_whose_house_a_token_server_is_of(registry: str, realm: str, same: bool) -> None:
    assert _same_house(registry, realm) is same


@pytest.mark.parametrize("lie", ["manifest", "blob", "shorter", "longer"])
def test_a_registry_that_answers_other_bytes_is_not_believed(lie: str) -> None:
    def registry(one: Asked) -> None:
        name = one.path.rpartition("/")[2]
        data = PACKED.manifest if "/manifests/" in one.path else PACKED.blobs[name]
        flipped = bytes([data[0] ^ 1]) + data[1:]
        match lie, "/manifests/" in one.path:
            case ("manifest", True) | ("blob", False):
                one.reply(200, flipped, Docker_Content_Digest=PACKED.digest)
            case "shorter", False:
                one.reply(200, data[:-1])
            case "longer", False:
                one.reply(200, data + b" ")
            case _:
                one.reply(200, data)

    with scripted(registry) as server, pytest.raises(ArtifactMismatch, match="not loading it"):
        OciSource(Access()).fetch(f"oci:{server.host}/m@{PACKED.digest}", ref="m:1")


def test_an_upload_is_not_taken_elsewhere() -> None:
    def registry(one: Asked) -> None:
        one.rfile.read(int(one.headers.get("content-length", 0)))
        one.reply(202, Location="https://evil.example/upload") if one.command == "POST" else one.reply(404)

    with scripted(registry) as server, pytest.raises(SourceUnavailable, match="expected its own address"):
        OciSource(Access()).push(f"oci:{server.host}/m:1", PACKED)
