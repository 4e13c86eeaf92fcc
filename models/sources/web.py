"""How is a server of artefacts asked: in bounded time and memory, with credentials only where they belong?

Laws
- A body is refused at its first byte beyond what the caller expects, before memory is spent on it; nothing is decompressed.
- A conversation ends within `timeout_s`, whatever the server does.
- Credentials go to the host that they are kept for, never along a redirect to another, and over TLS: without it only to
  this machine and to hosts that the settings name.
- A redirect leaves TLS never, and a public host cannot send us to an address that is not public.
- Nothing of the environment (proxies, netrc) has a say.
"""

import asyncio
import socket
import ssl
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from models.errors import UNDECODABLE, SourceInvalid, SourceUnavailable
from models.sources.credentials import Credentials

CONNECT_S = 10.0  # a host that is there answers within a second; one that is not must not hold a start for long
REDIRECTS_MAX = 5
DOCUMENT_BYTES_MAX = 4 << 20  # of a manifest (the limit that registries themselves keep) or a REST answer
REASON_CHARS = 200  # of what a server says of its refusal
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Access:
    """What may be asked of whom, and for how much. `plain_http`: hosts, with their port, that are asked without TLS."""

    credentials: Credentials = field(default_factory=Credentials)
    plain_http: frozenset[str] = frozenset()
    ca_file: Path | None = None
    bytes_max: int = 2 << 30
    timeout_s: float = 300.0

    def trusts_plain(self, host: str) -> bool:
        """May this host (`name` or `name:port`) be asked without TLS?"""
        return host in self.plain_http or _loopback(httpx.URL(f"http://{host}").host)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, redirects followed."""

    url: httpx.URL
    status: int
    headers: httpx.Headers
    body: bytes


class Web:
    """One conversation about one source; use it in `async with`."""

    def __init__(self, access: Access, source: str) -> None:
        self._access, self._source = access, source
        try:
            tls = ssl.create_default_context(cafile=access.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise SourceUnavailable(source, f"sources_ca_file {access.ca_file}: {error}") from error
        timeout = httpx.Timeout(access.timeout_s, connect=min(CONNECT_S, access.timeout_s))
        self._client = httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=timeout, verify=tls)

    async def __aenter__(self) -> "Web":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def ask(
        self,
        method: str,
        url: httpx.URL,
        *,
        bytes_max: int = DOCUMENT_BYTES_MAX,
        headers: Mapping[str, str] | None = None,
        authorization: str | None = None,
        content: bytes | None = None,
    ) -> Answer:
        """The answer after at most REDIRECTS_MAX redirects (of GET and HEAD only). Raises SourceUnavailable, SourceInvalid."""
        first = url
        for _ in range(REDIRECTS_MAX + 1):
            self._may_be_asked(url)
            sent = {"accept-encoding": "identity", **(headers or {})}
            if authorization is not None and _origin(url) == _origin(first):
                sent["authorization"] = authorization
            answer = await self._once(method, url, sent, content, bytes_max)
            if answer.status not in _REDIRECTS or method not in ("GET", "HEAD"):
                return answer
            url = await redirected(self._source, first, url, answer.headers.get("location", ""))
        raise SourceUnavailable(self._source, f"more than {REDIRECTS_MAX} redirects")

    async def _once(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None, bytes_max: int
    ) -> Answer:
        try:
            async with self._client.stream(method, url, headers=dict(headers), content=content) as response:
                if response.headers.get("content-encoding", "identity").lower() != "identity":
                    raise SourceUnavailable(self._source, f"{shown(url)} sent a compressed body, unasked")
                declared = response.headers.get("content-length", "0")
                if method != "HEAD" and declared.isdecimal() and int(declared) > bytes_max:
                    raise SourceUnavailable(self._source, f"{shown(url)} has {declared} bytes, at most {bytes_max} fit")
                body = bytearray()
                async for part in response.aiter_raw():
                    if len(body) + len(part) > bytes_max:
                        raise SourceUnavailable(self._source, f"{shown(url)} sent more than {bytes_max} bytes")
                    body += part
                return Answer(url, response.status_code, response.headers, bytes(body))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceUnavailable(self._source, f"{shown(url)}: {_reason(error)}") from error

    def _may_be_asked(self, url: httpx.URL) -> None:
        if url.scheme == "http" and not self._access.trusts_plain(_host(url)):
            raise SourceInvalid(self._source, f"{shown(url)} without TLS", "https, or the host in sources_plain_http")

    def refused(self, answer: Answer, what: str) -> SourceUnavailable:
        """The error for an answer that is not the expected one."""
        said = answer.body[:REASON_CHARS].decode(errors="replace")
        told = " ".join("".join(c if c.isprintable() else " " for c in said).split())
        return SourceUnavailable(self._source, f"{what}: {shown(answer.url)} answered {answer.status} {told}".rstrip())

    def document(self, answer: Answer, type_: type[T]) -> T:
        """The JSON of an answer. Raises SourceUnavailable where it is another one."""
        try:
            return msgspec.json.decode(answer.body, type=type_)
        except UNDECODABLE as error:
            raise SourceUnavailable(self._source, f"{shown(answer.url)} answered something else: {error}") from error


def within(timeout_s: float, source: str, asking: Coroutine[Any, Any, T]) -> T:
    """Runs one conversation to its end, or to its deadline; blocking, so never on a running event loop."""

    async def run() -> T:
        async with asyncio.timeout(timeout_s):
            return await asking

    try:
        return asyncio.run(run())
    except TimeoutError as error:
        raise SourceUnavailable(source, f"not done within {timeout_s:g} s") from error


async def redirected(source: str, first: httpx.URL, here: httpx.URL, location: str) -> httpx.URL:
    """Where `here` sends us, having been asked because of `first`. Raises SourceUnavailable where nobody should go."""
    try:
        there = here.join(location)
    except httpx.InvalidURL as error:
        raise SourceUnavailable(source, f"{shown(here)} redirects to nowhere") from error
    if not location or there.scheme not in ("https", "http") or (here.scheme, there.scheme) == ("https", "http"):
        raise SourceUnavailable(source, f"{shown(here)} redirects to {shown(there)}, expected https")
    if there.host != first.host and await _all_public(first) and not await _all_public(there):
        raise SourceUnavailable(source, f"{shown(here)} redirects to {shown(there)}, which is not public")
    return there


def shown(url: httpx.URL) -> str:
    """Without user and query: a redirect to a storage carries its secret there."""
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))


def host_of(url: httpx.URL) -> str:
    """`name`, or `name:port` where it is not the scheme's own port: as credentials are kept."""
    return _host(url)


def _host(url: httpx.URL) -> str:
    return url.netloc.decode("ascii").rpartition("@")[2].lower()


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def _all_public(url: httpx.URL) -> bool:
    """Whether every address of the host is one of the public internet; one that cannot be resolved is not.

    What comes from there counts only where its digest is the expected one, so a name that answers differently the second
    time could at most make us ask, not make us tell.
    """
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except OSError:
        return False
    addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    return all(address.is_global and not address.is_multicast for address in addresses)
