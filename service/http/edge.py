"""The request edge: reads bodies within their limits, finds the handler, sends the answer.

Laws
- Every request under our paths gets exactly one answer of one shape, whatever fails (one of the three broad `except` is here).
- No more than `max_body_bytes` of a body is ever held.
- An answer whose record is written stands: cut off while it is packed, it goes out as it is (`cycle.py` says what becomes of it
  then).
"""

import asyncio
import itertools
import os
import re
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from service.caller import CALLER, Caller
from service.errors import (
    BodyTooLarge,
    ClientGone,
    CutOff,
    Internal,
    MalformedBody,
    MethodUnsupported,
    Overloaded,
    RequestError,
    RouteUnknown,
    Shed,
    UnsupportedEncoding,
)
from service.http.answer import Answer, Headers
from service.http.encoding import accepted, packed
from service.http.errors import error_answer
from service.http.languages import Languages
from service.http.media import explained
from service.http.paths import Target, Verb
from service.http.v1 import native_model
from service.http.wire import Wire
from service.predict import Ask, Predictor
from service.trace_context import said
from service.unexpected import tell

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Handler = Callable[[Target, Headers, bytes, str], Awaitable[Answer]]
"""A control-plane route: target, headers, body, request id → answer; raises RequestError."""

_WITH_BODY = frozenset({"POST", "PUT"})
CONTENT_LENGTH_DIGITS_MAX = 18  # more is larger than any limit, and int() would take long over it
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


class Edge:
    """Turns ASGI into calls of the predictor and of the control-plane handlers."""

    def __init__(
        self,
        *,
        predictor: Predictor,
        languages: Languages,
        handlers: Mapping[Verb, Handler],
        max_body_bytes: int,
        compress_above_bytes: int,
    ) -> None:
        self._predictor, self._languages, self._handlers = predictor, languages, handlers
        self._max_body_bytes, self._compress_above_bytes = max_body_bytes, compress_above_bytes
        self._id_prefix = f"{os.urandom(6).hex()}-"
        self._ids = itertools.count()

    async def serve(self, target: Target, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        caller = scope.get(CALLER)
        await _send(send, await self.answer(target, scope["method"], scope["headers"], receive, caller, scope["path"]))

    async def answer(
        self, target: Target, method: str, headers: Headers, receive: Receive, caller: Caller | None, path: str
    ) -> Answer:
        """The answer to one request; its record, where it gets one, is written when this returns."""
        request_id = self.request_id(headers)
        wire = self._languages.wire(target.verb, headers)
        try:
            if wire is not None and method == "POST":
                answer = await self._predict(wire, target, headers, request_id, receive, caller)
            else:
                answer = await self._control(target, method, path, headers, request_id, receive)
            if len(answer.body) > self._compress_above_bytes and (coding := accepted(headers)) is not None:
                answer = await self._packed(answer, coding)
        except Exception as error:  # the request edge: every request is answered
            tell("edge.failed", error, None, request_id=request_id, route=target.verb, **said(headers))
            answer = error_answer(Internal(), request_id, [(b"x-request-id", request_id.encode())])
        return answer

    def predicts(self, target: Target) -> bool:
        """Is it a route of predictions?"""
        return self._languages.wire(target.verb, ()) is not None

    async def _packed(self, answer: Answer, coding: bytes) -> Answer:
        """In a thread: it is long, and other answers do not wait for it."""
        try:
            return await asyncio.to_thread(packed, answer, coding)
        except asyncio.CancelledError:
            if not self._predictor.cutting:
                raise
            return answer

    def request_id(self, headers: Headers) -> str:
        """The client's own id where it sent a valid one, else one that no other process gives."""
        for name, value in headers:
            if name == b"x-request-id":
                if REQUEST_ID.fullmatch(value):
                    return value.decode()
                break
        return f"{self._id_prefix}{next(self._ids):x}"

    def would_refuse(self, target: Target, timeout_ms: int) -> Overloaded | None:
        """The model's own queue has no room for one more."""
        return self._predictor.would_refuse(target.model, target.version, timeout_ms)

    def turn_away(self, target: Target, request_id: bytes, error: Shed) -> bytes | None:
        """Puts a prediction that is refused unread on record; the id that its answer carries, None: it is no prediction."""
        wire = self._languages.wire(target.verb, [])
        if wire is None:
            return None
        own = request_id if REQUEST_ID.fullmatch(request_id) else self.request_id([]).encode()
        ask = Ask(wire, target.model, target.version, own.decode(), [], time.monotonic_ns())
        self._predictor.turn_away(ask, error)
        return own

    def flush(self) -> None:
        """Writes the records of this turn."""
        self._predictor.flush()

    async def _predict(
        self,
        wire: Wire,
        target: Target,
        headers: Headers,
        request_id: str,
        receive: Receive,
        caller: Caller | None,
    ) -> Answer:
        ask = Ask(wire, target.model, target.version, request_id, headers, time.monotonic_ns(), caller=caller)
        try:
            if caller is not None and caller.arrived_ns:  # it waited at the door
                ask.started_ns = caller.arrived_ns
                if caller.refusal is not None:
                    raise caller.refusal
            ask.body = await read_body(headers, receive, self._max_body_bytes)
            if target.verb is Verb.NATIVE_PREDICT:
                ask.model = self._named(wire, ask.body)
        except RequestError as error:
            return await self._predictor.settle_error(ask, error)
        except asyncio.CancelledError:  # its body was still on the way at the end of the grace
            if not self._predictor.cutting:
                raise
            return await self._predictor.settle_error(ask, CutOff())
        return await self._predictor.predict(ask)

    def _named(self, wire: Wire, body: bytes) -> str:
        """The model, where the body names it. Raises MalformedBody."""
        return native_model(body)

    async def _control(
        self, target: Target, method: str, path: str, headers: Headers, request_id: str, receive: Receive
    ) -> Answer:
        own_id = (b"x-request-id", request_id.encode())
        try:
            if target.verb is Verb.UNKNOWN:
                raise RouteUnknown(path[:64])
            asked = target.asked(method)
            if asked is None:
                raise MethodUnsupported(method, target.methods)
            body = await read_body(headers, receive, self._max_body_bytes) if method in _WITH_BODY else b""
            answer = await self._handlers[asked.verb](asked, headers, body, request_id)
            return answer._replace(headers=[own_id, *answer.headers])
        except RequestError as error:
            return error_answer(explained(error, headers), request_id, [own_id])


async def read_body(headers: Headers, receive: Receive, limit: int) -> bytes:
    """The whole body, unpacked. Raises BodyTooLarge, UnsupportedEncoding, MalformedBody, ClientGone."""
    encoding = b""
    for name, value in headers:
        if name == b"content-length" and _length(value) > limit:
            raise BodyTooLarge(limit)
        if name == b"content-encoding":
            encoding = value.strip().lower()
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        body = await _read_on(body, receive, limit)
    elif message["type"] == "http.disconnect":
        raise ClientGone
    if len(body) > limit:
        raise BodyTooLarge(limit)
    return body if encoding in (b"", b"identity") else _unpack(body, encoding, limit)


def _length(value: bytes) -> int:
    if not value.isdigit():
        raise MalformedBody(f"content-length {value[:32]!r}", "a number of bytes", where="header")
    return int(value[: CONTENT_LENGTH_DIGITS_MAX + 1])


async def _read_on(first: bytes, receive: Receive, limit: int) -> bytes:
    body, more = (
        bytearray(first),
        True,
    )  # one buffer that grows: hundreds of parts would leave as many holes in the heap
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > limit:
            raise BodyTooLarge(limit)
        more = message.get("more_body", False)
    return bytes(body)


def _unpack(body: bytes, encoding: bytes, limit: int) -> bytes:
    """gzip or deflate, never more than `limit` bytes of it."""
    if encoding not in (b"gzip", b"deflate"):
        raise UnsupportedEncoding(encoding.decode("latin-1")[:32], "gzip, deflate or none")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        data = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise UnsupportedEncoding(f"damaged {encoding.decode()}", "a whole compressed body") from error
    if len(data) > limit:
        raise BodyTooLarge(limit)
    if not unpacker.eof or unpacker.unused_data:
        what = "bytes after the end of" if unpacker.eof else "truncated"
        raise UnsupportedEncoding(f"{what} {encoding.decode()}", "one whole compressed body")
    return data


async def _send(send: Send, answer: Answer) -> None:
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
