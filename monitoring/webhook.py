"""How is one event posted: to a checked address, signed, once, in bounded time and memory.

Laws
- The host is resolved once a post, every address it has is checked, and the connection goes to a checked address: a
  name that answers differently the second time gains nothing.
- No redirect is followed, no proxy or netrc of the environment is used, at most BODY_BYTES_MAX of the answer are read.
- An attempt ends within `timeout_s`, whatever the receiver does.

Headers and signature: Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx
from standardwebhooks import Webhook

from monitoring.delivery import NoReply, Reply
from monitoring.errors import AddressRefused, HostUnresolved

BODY_BYTES_MAX = 4096  # an answer is a status; more of it is not worth reading
CONTENT_TYPE = "application/cloudevents+json"
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


class WebhookSender:
    """Posts events to one receiver; `resolve` is given so that tests can answer for the resolver."""

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        timeout_s: float,
        allow_private_addresses: bool,
        resolve: Resolver = resolve,
    ) -> None:
        self._url = httpx.URL(url)
        self._signer = Webhook(secret)
        self._timeout_s = timeout_s
        self._allow_private_addresses = allow_private_addresses
        self._resolve = resolve
        self._client = httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=timeout_s)

    async def post(self, event_id: str, body: bytes) -> Reply | NoReply:
        """One attempt; failures of the network are values. Raises AddressRefused, HostUnresolved."""
        try:
            async with asyncio.timeout(self._timeout_s):
                address = await self._checked_address()
                return await self._post(address, event_id, body)
        except TimeoutError:
            return NoReply(f"no answer within {self._timeout_s:g} s")
        except httpx.HTTPError as error:
            return NoReply(f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        await self._client.aclose()

    async def _checked_address(self) -> str:
        port = self._url.port or (443 if self._url.scheme == "https" else 80)
        addresses = await self._resolve(self._url.host, port)
        if not addresses:
            raise HostUnresolved(self._url.host, "the resolver answered with nothing")
        for address in addresses:
            if not self._allow_private_addresses and not public(ip_address(address.partition("%")[0])):
                raise AddressRefused(self._url.host, address)
        return addresses[0]

    async def _post(self, address: str, event_id: str, body: bytes) -> Reply:
        headers = {
            "host": self._url.netloc.decode("ascii"),
            "content-type": CONTENT_TYPE,
            **self._signed(event_id, body),
        }
        request = self._client.build_request(
            "POST",
            self._url.copy_with(host=address),
            content=body,
            headers=headers,
            extensions={"sni_hostname": self._url.host},  # the certificate is checked against the name, not the address
        )
        response = await self._client.send(request, stream=True)
        try:
            read = 0
            async for part in response.aiter_raw():
                read += len(part)
                if read >= BODY_BYTES_MAX:
                    break
        finally:
            await response.aclose()
        return Reply(response.status_code, response.headers.get("retry-after"))

    def _signed(self, event_id: str, body: bytes) -> dict[str, str]:
        at = datetime.now(UTC)
        return {
            "webhook-id": event_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._signer.sign(event_id, at, body.decode()),
        }
