"""How is one message sent: to a checked address, signed or with a token, once, in bounded time and memory.

Laws
- The host is resolved once a post, every address it has is checked, and the connection goes to checked addresses only, one
  after the other until one takes it: a name that answers differently the second time gains nothing.
- No redirect is followed, no proxy or netrc of the environment is used, at most BODY_BYTES_MAX of the answer are read.
- An attempt ends within `timeout_s`, whatever the receiver does; an address that does not answer takes its share of it only.
- Once connected there is no second try: what was sent may have been taken.
- Secrets are here and nowhere else: a message has none, and neither a url nor a header of ours is part of an error.

Headers and signature: Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`).
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from time import monotonic

import httpx
from standardwebhooks import Webhook

from monitoring.delivery import NoReply, Reply
from monitoring.dispatch.message import Message
from monitoring.errors import AddressRefused, HostUnresolved

BODY_BYTES_MAX = 4096  # an answer is a status, at most a version; more of it is not worth reading
REASON_CHARS_MAX = 300  # of an error: h11 shows the whole line of an answer that is none
ENCODING_CHARS_MAX = 40  # the longest name that is registered has 17
ADDRESSES_TRIED_MAX = 16  # of one name; all are checked, but with more of them each would have no time to answer
AGENT = "plumbline-monitor"  # GitHub refuses requests without one
Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[list[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a host. Raises HostUnresolved."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise HostUnresolved(host, str(error)) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_loopback_host(host: str) -> bool:
    """Is this host literally this machine, without asking a resolver?"""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def public(address: Address) -> bool:
    """Is this an address of the public internet, also when written as IPv4 inside IPv6?"""
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    seen = inner or address
    return seen.is_global and not seen.is_multicast


class HttpSender:
    """Sends to one receiver; `resolve` is given so that tests can answer for the resolver.

    `secret` signs; `authorization` is the header of that name; `trusted` what else than the public certificate authorities may
    vouch for the receiver.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        allow_private_addresses: bool,
        secret: str | None = None,
        authorization: str | None = None,
        headers: Mapping[str, str] | None = None,
        trusted: ssl.SSLContext | None = None,
        resolve: Resolver = resolve,
    ) -> None:
        self._url = httpx.URL(url)
        self._signer = None if secret is None else Webhook(secret)
        self._headers = {"user-agent": AGENT, **(headers or {}), "accept-encoding": "identity"}
        if authorization is not None:
            self._headers["authorization"] = authorization
        self._timeout_s = timeout_s
        self._allow_private_addresses = allow_private_addresses
        self._resolve = resolve
        self._client = httpx.AsyncClient(
            follow_redirects=False, trust_env=False, timeout=timeout_s, verify=trusted if trusted is not None else True
        )

    async def send(self, message: Message) -> Reply | NoReply:
        """One attempt; failures of the network are values. Raises AddressRefused, HostUnresolved."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._send_to_first(await self._checked_addresses(), message)
        except TimeoutError:
            return NoReply(f"no answer within {self._timeout_s:g} s")
        except httpx.LocalProtocolError as error:  # its text shows what of ours is wrong, which may be a secret
            return NoReply(type(error).__name__)
        except httpx.HTTPError as error:
            return NoReply(f"{type(error).__name__}: {error}"[:REASON_CHARS_MAX])

    async def close(self) -> None:
        await self._client.aclose()

    async def _checked_addresses(self) -> list[str]:
        port = self._url.port or (443 if self._url.scheme == "https" else 80)
        addresses = await self._resolve(self._url.host, port)
        if not addresses:
            raise HostUnresolved(self._url.host, "the resolver answered with nothing")
        for address in addresses:
            if not self._allow_private_addresses and not public(ip_address(address.partition("%")[0])):
                raise AddressRefused(self._url.host, address)
        return addresses[:ADDRESSES_TRIED_MAX]

    async def _send_to_first(self, addresses: list[str], message: Message) -> Reply:
        """To the first address that takes a connection. Raises httpx.HTTPError, of the last one where none does."""
        ends_s = monotonic() + self._timeout_s
        for left in range(len(addresses), 1, -1):
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                share_s = max(0.0, ends_s - monotonic()) / left
                return await self._send(addresses[-left], message, share_s)
        return await self._send(addresses[-1], message, self._timeout_s)

    async def _send(self, address: str, message: Message, connect_s: float) -> Reply:
        headers = {
            **self._headers,
            **message.headers,
            "host": self._url.netloc.decode("ascii"),
            "content-type": message.content_type,
            **self._signed(message),
        }
        request = self._client.build_request(
            message.method,
            self._url_of(address, message.path),
            content=message.body,
            headers=headers,
            timeout=httpx.Timeout(self._timeout_s, connect=connect_s),
            extensions={"sni_hostname": self._url.host},  # the certificate is checked against the name, not the address
        )
        response = await self._client.send(request, stream=True)
        try:
            body = await _beginning(response)
        finally:
            await response.aclose()
        encoding = response.headers.get("content-encoding", "").strip().lower()
        return Reply(
            response.status_code,
            response.headers.get("retry-after"),
            body if response.is_success else b"",
            "" if encoding == "identity" else encoding[:ENCODING_CHARS_MAX],
        )

    def _url_of(self, address: str, path: str) -> httpx.URL:
        if not path:
            return self._url.copy_with(host=address)
        before = self._url.raw_path.partition(b"?")[0].rstrip(b"/")
        return self._url.copy_with(host=address, raw_path=before + path.encode("ascii"))

    def _signed(self, message: Message) -> dict[str, str]:
        if self._signer is None:
            return {}
        at = datetime.now(UTC)
        return {
            "webhook-id": message.id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._signer.sign(message.id, at, message.body.decode()),
        }


async def _beginning(response: httpx.Response) -> bytes:
    """Undecoded, so that no small answer becomes a large one."""
    found = bytearray()
    async for part in response.aiter_raw():
        found += part[:BODY_BYTES_MAX]
        if len(found) >= BODY_BYTES_MAX:
            break
    return bytes(found[:BODY_BYTES_MAX])
