"""`/api/incidents` and `/api/silences`: what was sent of what happened, and what people say about it.

Laws
- Reading asks for what the monitor's page asks for; saying something asks for the admin token or a key of the scope admin.
- A word is answered with 2xx after it is on disk.
- A dry run asks for all that the word itself does, answers what it would say, and says nothing.
- A body is read up to BODY_BYTES_MAX.
"""

import asyncio
import secrets
from collections.abc import Callable
from time import time
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from models.errors import UNDECODABLE
from monitoring.dispatch import words
from monitoring.dispatch.authority import Authority, refusal
from monitoring.dispatch.hands import Word
from monitoring.dispatch.hands_file import HandsFile
from monitoring.dispatch.incidents import moment, shown, silences
from monitoring.dispatch.mailroom import Mailroom
from monitoring.dispatch.present import phases_of
from monitoring.dispatch.shelf import on_shelf
from monitoring.errors import EventUnknown, HandsFull, WordInvalid
from monitoring.events import opening_of
from monitoring.status import Status

BODY_BYTES_MAX = 16 * 1024
JSON = "application/json"
Asked = TypeVar("Asked", words.SilenceAsked, words.Said)


def says_something(method: str, path: str) -> bool:
    """Is this a request that `Authority` decides about?"""
    return method in ("POST", "DELETE") and path.startswith(("/api/silences", "/api/incidents/"))


class AlertsApi:
    """Over one monitor's mailroom; `status` is its newest."""

    def __init__(self, mailroom: Mailroom, authority: Authority, status: Callable[[], Status]) -> None:
        self._mailroom, self._authority, self._status = mailroom, authority, status

    def routes(self) -> list[Route]:
        return [
            Route("/api/incidents", self.incidents, methods=["GET"]),
            Route("/api/incidents/{event}/ack", self.ack, methods=["POST"]),
            Route("/api/incidents/{event}/answer", self.answer, methods=["POST"]),
            Route("/api/silences", self.silences, methods=["GET"]),
            Route("/api/silences", self.silence, methods=["POST"]),
            Route("/api/silences/{silence}", self.expire, methods=["DELETE"]),
        ]

    async def incidents(self, _: Request) -> Response:
        """The newest incidents, newest first."""
        facts, deliveries = await asyncio.to_thread(on_shelf, self._mailroom.home)
        found = shown(facts, deliveries, self._hands_file.hands(), time(), phases_of(self._status()))
        return Response(msgspec.json.encode({"incidents": found}), media_type=JSON)

    async def silences(self, _: Request) -> Response:
        """All silences that are kept, newest first."""
        found = silences(self._hands_file.hands(), time())
        return Response(msgspec.json.encode({"silences": found}), media_type=JSON)

    async def silence(self, request: Request) -> Response:
        def word(asked: words.SilenceAsked, by: str, at_s: float) -> Word:
            return words.silence(asked, secrets.token_hex(4), by, at_s)

        return await self._say(request, words.SilenceAsked, word, 201)

    async def expire(self, request: Request) -> Response:
        """Ends a silence now."""
        identifier = request.path_params["silence"]
        if identifier not in self._hands_file.hands().silences:
            return refusal(
                404, "unknown_silence", f"silence {identifier[:80]!r}: expected one that GET /api/silences lists"
            )

        def word(asked: words.Said, by: str, at_s: float) -> Word:
            return words.expire(asked, identifier, by, at_s)

        return await self._say(request, words.Said, word, 200)

    async def ack(self, request: Request) -> Response:
        def word(asked: words.Said, by: str, at_s: float) -> Word:
            return words.ack(asked, self._opening(request), by, at_s)

        return await self._say(request, words.Said, word, 200)

    async def answer(self, request: Request) -> Response:
        """The version that came of a request, told later."""

        def word(asked: words.Said, by: str, at_s: float) -> Word:
            return words.answer(asked, self._opening(request), by, at_s)

        return await self._say(request, words.Said, word, 200)

    @property
    def _hands_file(self) -> HandsFile:
        return self._mailroom.hands

    def _opening(self, request: Request) -> str:
        """Of the incident that the event belongs to: who is told of its end knows the end's id."""
        event = str(request.path_params["event"])
        opening = opening_of(event) or event
        if opening_of(opening) is not None or opening not in self._mailroom.desk.outbox:
            raise EventUnknown(event[:80])
        return opening

    async def _say(
        self, request: Request, asked_as: type[Asked], word: Callable[[Asked, str, float], Word], status: int
    ) -> Response:
        by = self._authority.who(request.headers.raw, address_of(request))
        if isinstance(by, JSONResponse):
            return by
        body = await bounded(request)
        if body is None:
            return refusal(413, "body_too_large", f"found more than {BODY_BYTES_MAX} bytes, expected fewer")
        try:
            asked = msgspec.json.decode(body or b"{}", type=asked_as)
            said = word(asked, by, now_s := time())
            if asked.dry_run:
                return Response(msgspec.json.encode(_told(said)), media_type=JSON)
            await asyncio.to_thread(self._hands_file.say, said, now_s)
        except (*UNDECODABLE, WordInvalid) as error:
            return refusal(400, "bad_word", str(error))
        except EventUnknown as error:
            return refusal(404, "unknown_event", str(error))
        except (HandsFull, TimeoutError, OSError) as error:
            return refusal(503, "not_written", str(error))
        self._mailroom.wake()
        return Response(msgspec.json.encode(_told(said)), status_code=status, media_type=JSON)


def _told(word: Word) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(word)
    return {**told, **{name[:-2]: moment(told[name]) for name in ("at_s", "until_s") if name in told}}


def address_of(request: Request) -> str:
    """Whose request it is, as far as the socket says."""
    return "" if request.client is None else request.client.host


async def bounded(request: Request) -> bytes | None:
    """The body; None where it is too large."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES_MAX:
            return None
    return bytes(body)
