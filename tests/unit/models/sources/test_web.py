"""A source's server may say anything: what is read, followed and told stays bounded."""

import ssl
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

from models.errors import SourceInvalid, SourceUnavailable
from models.sources.credentials import Basic, Credentials
from models.sources.oci import OciSource
from models.sources.web import Access, Answer, Web, redirected, shown, within
from tests.scripted import Asked, scripted

pytestmark = pytest.mark.slow

DIGEST = "sha256:" + "0" * 64
SECRET = "bWU6c2VjcmV0"
OPEN = Access()


def asked(url: str, access: Access = OPEN, *, authorization: str | None = None, bytes_max: int = 100) -> Answer:
    async def ask() -> Answer:
        async with Web(access, "oci:x") as web:
            return await web.ask("GET", httpx.URL(url), authorization=authorization, bytes_max=bytes_max)

    return within(access.timeout_s, "oci:x", ask())


def test_a_body_is_read_to_its_end_and_no_byte_further_than_allowed() -> None:
    with scripted(lambda one: one.reply(200, b"x" * int(one.path[1:]))) as server:
        assert len(asked(f"http://{server.host}/100").body) == 100
        with pytest.raises(SourceUnavailable, match="has 101 bytes, at most 100 fit"):
            asked(f"http://{server.host}/101")


def test_a_body_that_does_not_say_its_length_is_cut_off() -> None:
    def endless(one: Asked) -> None:
        one.send_response(200)
        one.send_header("transfer-encoding", "chunked")
        one.end_headers()
        while True:
            one.wfile.write(b"400\r\n" + b"x" * 1024 + b"\r\n")

    with scripted(endless) as server, pytest.raises(SourceUnavailable, match="sent more than 100 bytes"):
        asked(f"http://{server.host}/")


def test_a_server_that_takes_its_time_is_given_up() -> None:
    done = threading.Event()

    def slow(one: Asked) -> None:
        one.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not done.wait(0.05):
            one.wfile.write(b"x: y\r\n")  # a byte in time for every timeout of a single read
            one.wfile.flush()

    with scripted(slow) as server:
        try:
            with pytest.raises(SourceUnavailable, match=r"not done within 0\.5 s"):
                asked(f"http://{server.host}/", Access(timeout_s=0.5))
        finally:
            done.set()


def test_a_compressed_body_is_refused_unread() -> None:
    with (
        scripted(lambda one: one.reply(200, b"x", Content_Encoding="gzip")) as server,
        pytest.raises(SourceUnavailable, match="compressed"),
    ):
        asked(f"http://{server.host}/")


def test_a_redirect_is_followed_without_the_credentials() -> None:
    with (
        scripted(lambda one: one.reply(200, b"there")) as other,
        scripted(lambda one: one.reply(307, Location=f"http://{other.host}/blob?signature=abc")) as server,
    ):
        assert asked(f"http://{server.host}/", authorization="Basic x").body == b"there"
        assert server.asked == [("/", "Basic x")]
        assert other.asked == [("/blob?signature=abc", None)]


def test_redirects_in_a_circle_end() -> None:
    with scripted(lambda one: one.reply(302, Location="/")) as server:
        with pytest.raises(SourceUnavailable, match="more than 5 redirects"):
            asked(f"http://{server.host}/")
        assert len(server.asked) == 6


@pytest.mark.parametrize("location", ["", "file:///etc/passwd", "ftp://127.0.0.1/", "http://", "//["])
def test_a_redirect_to_no_http_is_not_followed(location: str) -> None:
    with (
        scripted(lambda one: one.reply(302, Location=location)) as server,
        pytest.raises((SourceUnavailable, SourceInvalid)),
    ):
        asked(f"http://{server.host}/")


PUBLIC, PRIVATE = (
    "https://9.9.9.9/blob",
    ("https://127.0.0.1/", "https://10.1.2.3/", "https://[fe80::1]/", "https://0.0.0.0/"),
)


@pytest.mark.parametrize("location", [*PRIVATE, "http://8.8.8.8/", "https://[::ffff:127.0.0.1]/"])
def test_a_public_host_cannot_send_us_to_a_private_one_nor_out_of_tls(location: str) -> None:
    first = httpx.URL(PUBLIC)
    with pytest.raises(SourceUnavailable, match=r"which is not public|expected https"):
        within(5, "oci:x", redirected("oci:x", first, first, location))


def test_storage_on_another_public_host_and_inside_a_private_network_is_gone_to() -> None:
    private = httpx.URL(PRIVATE[1])
    for first, location in ((httpx.URL(PUBLIC), "https://8.8.8.8/?x"), (private, PRIVATE[0]), (private, "/there")):
        assert str(within(5, "oci:x", redirected("oci:x", first, first, location))).startswith("https://")


def test_without_tls_only_this_machine_is_asked_or_who_is_named() -> None:
    with pytest.raises(SourceInvalid, match="sources_plain_http"):
        asked("http://registry.example/")
    access = Access(plain_http=frozenset({"registry.example:5000"}))
    assert access.trusts_plain("registry.example:5000") and not access.trusts_plain("registry.example")
    assert all(Access().trusts_plain(host) for host in ("localhost:5000", "127.0.0.1", "[::1]:5000"))
    assert not any(Access().trusts_plain(host) for host in ("127.0.0.1.example", "localhost.example", "10.0.0.1"))


def test_a_server_is_believed_by_the_authorities_of_the_settings_alone(tmp_path: Path) -> None:
    ours, other = (certificate(tmp_path / name) for name in ("ours", "other"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(ours)
    with scripted(lambda one: one.reply(200, b"x"), tls) as server:
        assert asked(f"https://{server.host}/", Access(ca_file=ours)).body == b"x"
        for access in (OPEN, Access(ca_file=other)):
            with pytest.raises(SourceUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
                asked(f"https://{server.host}/", access)
        assert len(server.asked) == 1
    with pytest.raises(SourceUnavailable, match="sources_ca_file"):
        asked("https://127.0.0.1:9/", Access(ca_file=tmp_path / "nothing"))


def certificate(place: Path) -> Path:
    """Key and certificate of 127.0.0.1, signed by itself, in one file."""
    key, cert = place.with_suffix(".key"), place.with_suffix(".crt")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "1"]
    named = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*made, *named], check=True, capture_output=True, timeout=60)
    place.write_bytes(key.read_bytes() + cert.read_bytes())
    return place


def test_what_is_shown_of_an_address_is_no_secret() -> None:
    assert shown(httpx.URL("https://me:pw@storage.example/blob?signature=abc#x")) == "https://storage.example/blob"


def test_nobody_listening_is_one_sentence() -> None:
    with pytest.raises(SourceUnavailable, match=r"nothing was installed, versions that are here serve on$"):
        OciSource(Access()).fetch(f"oci:127.0.0.1:9/m@{DIGEST}", ref="m:1")


# --- credentials ---------------------------------------------------------------------------------------------------


def credentials(host: str) -> Access:
    return Access(credentials=Credentials({host: Basic(SECRET)}))


@pytest.mark.parametrize(
    "realm", ["https://evil.example/token", "http://169.254.169.254/token", "http://localhost.example/", ""]
)
def test_credentials_are_not_taken_to_another_house_for_a_token(realm: str) -> None:
    challenge = f'Bearer realm="{realm}",service="x"'
    with scripted(lambda one: one.reply(401, WWW_Authenticate=challenge)) as server:
        with pytest.raises(SourceUnavailable, match="for a token") as refused:
            OciSource(credentials(server.host)).fetch(f"oci:{server.host}/m@{DIGEST}", ref="m:1")
        assert SECRET not in str(refused.value)
        assert [authorization for _, authorization in server.asked] == [None]


def test_a_token_is_asked_for_this_repository_alone_and_shown_to_nobody() -> None:
    def registry(one: Asked) -> None:
        if one.path.startswith("/token"):
            one.reply(200, b'{"token": "t0k3n"}')
        elif one.headers.get("authorization") == "Bearer t0k3n":
            one.reply(404, b"no such manifest")
        else:
            realm = f'Bearer realm="http://{one.server.host}/token",service="us",scope="registry:catalog:*"'
            one.reply(401, WWW_Authenticate=realm)

    with scripted(registry) as server:
        with pytest.raises(SourceUnavailable, match="answered 404 no such manifest") as refused:
            OciSource(credentials(server.host)).fetch(f"oci:{server.host}/a/m@{DIGEST}", ref="m:1")
        assert "t0k3n" not in str(refused.value)
        _, (path, shown_to), _ = server.asked
        assert dict(httpx.URL(path).params) == {"service": "us", "scope": "repository:a/m:pull"}
        assert shown_to == f"Basic {SECRET}"


def test_a_refused_credential_is_not_tried_again_and_again() -> None:
    with scripted(lambda one: one.reply(401, b"go away", WWW_Authenticate='Basic realm="x"')) as server:
        with pytest.raises(SourceUnavailable, match="answered 401 go away"):
            OciSource(credentials(server.host)).fetch(f"oci:{server.host}/m@{DIGEST}", ref="m:1")
        assert [authorization for _, authorization in server.asked] == [None, f"Basic {SECRET}"]
        with pytest.raises(SourceUnavailable, match="none known"):
            OciSource(Access()).fetch(f"oci:{server.host}/m@{DIGEST}", ref="m:1")
