"""Are the bodies that are being read bounded together, and is the account closed whatever becomes of them?"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.errors import BodyTooLarge, ClientGone, Overloaded, RequestError
from service.http.edge import Message, read_body
from service.http.uploads import Uploads

LIMIT, TOGETHER = 1_000, 1_500


class Upload:
    """A body that comes piece by piece, when the test says so."""

    def __init__(self, uploads: Uploads, declared: int | None) -> None:
        self._pieces: asyncio.Queue[Message] = asyncio.Queue()
        headers = [] if declared is None else [(b"content-length", b"%d" % declared)]
        self.read = asyncio.ensure_future(read_body(headers, self._pieces.get, LIMIT, uploads))

    async def piece(self, size: int, *, more: bool = True) -> None:
        await self.message({"type": "http.request", "body": b"x" * size, "more_body": more})

    async def message(self, message: Message) -> None:
        self._pieces.put_nowait(message)
        for _ in range(3):
            await asyncio.sleep(0)


def run(test: Callable[[Uploads], Awaitable[None]]) -> None:
    async def inside() -> None:
        uploads = Uploads(TOGETHER)
        await test(uploads)
        assert uploads.bytes == 0

    asyncio.run(inside())


def test_what_would_be_too_much_together_is_refused_before_it_is_read_and_later_let_in() -> None:
    async def test(uploads: Uploads) -> None:
        first, second = Upload(uploads, 900), Upload(uploads, 900)
        await first.piece(10)
        await second.piece(10)
        with pytest.raises(Overloaded, match="900 bytes of bodies wait, at most 1500 may"):
            await second.read
        await first.piece(890, more=False)
        assert await first.read == b"x" * 900
        third = Upload(uploads, 900)
        await third.piece(900, more=False)
        assert len(await third.read) == 900

    run(test)


def test_a_body_that_does_not_say_its_length_is_counted_as_it_grows() -> None:
    async def test(uploads: Uploads) -> None:
        first, second = Upload(uploads, 900), Upload(uploads, None)
        await first.piece(10)
        await second.piece(500)
        assert uploads.bytes == 1_400
        await second.piece(200)
        with pytest.raises(Overloaded):
            await second.read
        await first.piece(890, more=False)
        await first.read

    run(test)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"type": "http.disconnect"}, ClientGone),
        ({"type": "http.request", "body": b"x" * 1_000, "more_body": True}, BodyTooLarge),
    ],
)
def test_the_account_is_closed_whatever_becomes_of_a_body(message: Message, error: type[RequestError]) -> None:
    async def test(uploads: Uploads) -> None:
        upload = Upload(uploads, None)
        await upload.piece(10)
        assert uploads.bytes == 10
        await upload.message(message)
        with pytest.raises(error):
            await upload.read

    run(test)


def test_a_body_in_one_piece_is_not_counted() -> None:
    async def test(uploads: Uploads) -> None:
        uploads.begin(TOGETHER)
        upload = Upload(uploads, 900)
        await upload.piece(900, more=False)
        assert len(await upload.read) == 900
        uploads.end(TOGETHER)

    run(test)
