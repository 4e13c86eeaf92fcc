"""Which arm answers each of many callers? A request a key, over kept connections with several requests under way."""

import asyncio
from collections.abc import Mapping, Sequence

from tests.requests import payments_body

IN_FLIGHT = 8  # of one connection: below max_pipelined, so nothing waits unread


async def arms_of(host: str, port: int, keys: Sequence[str], *, connections: int, run: str) -> dict[str, str]:
    """Key → `x-model-arm`; request ids are `run` and the key. Fails where an answer is not 200."""
    shares = [keys[number::connections] for number in range(connections)]
    found: dict[str, str] = {}
    for part in await asyncio.gather(*(_ask(host, port, share, run) for share in shares)):
        found.update(part)
    return found


async def _ask(host: str, port: int, keys: Sequence[str], run: str) -> dict[str, str]:
    reader, writer = await asyncio.open_connection(host, port)
    body = payments_body()
    found: dict[str, str] = {}
    for begin in range(0, len(keys), IN_FLIGHT):
        several = keys[begin : begin + IN_FLIGHT]
        writer.write(b"".join(_request(key, f"{run}/{key}", body) for key in several))
        for key in several:
            status, headers = await _answer(reader)
            assert status == 200, f"{key}: {status}"
            assert headers["x-request-id"] == f"{run}/{key}"
            found[key] = headers["x-model-arm"]
    writer.close()
    await writer.wait_closed()
    return found


def _request(key: str, request_id: str, body: bytes) -> bytes:
    head = (
        "POST /v1/models/payments:predict HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nx-customer-id: {key}\r\nx-request-id: {request_id}\r\n\r\n"
    )
    return head.encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, Mapping[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if value}
    await reader.readexactly(int(headers["content-length"]))
    return int(first.split()[1]), headers
