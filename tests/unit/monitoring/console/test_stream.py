"""The stream: one event a status, so many listeners, and an end."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from monitoring.console.stream import LISTENERS_MAX, STREAM_S_MAX, Stream
from monitoring.pulse import Pulse
from monitoring.status import Status
from tests.unit.monitoring.console.made import folded, status_of

STATUS = status_of(folded(minutes=1))
ASKED = Request({"type": "http", "method": "GET", "path": "/api/stream", "headers": []})
DEADLINE_S = 30.0


def again(status: Status) -> Status:
    """Another one that says the same."""
    return msgspec.structs.replace(status)


def run(story: Callable[[Pulse, Stream], Awaitable[None]]) -> None:
    async def within() -> None:
        pulse = Pulse(STATUS, 30.0)
        async with asyncio.timeout(DEADLINE_S):
            await story(pulse, Stream(pulse))

    asyncio.run(within())


async def begun(stream: Stream) -> AsyncIterator[bytes]:
    """The body of a stream after its first line, which asks browsers to come back soon."""
    answer = await stream.stream(ASKED)
    assert isinstance(answer, StreamingResponse)
    assert answer.media_type == "text/event-stream"
    events: Any = answer.body_iterator
    assert await anext(events) == b"retry: 2000\n\n"
    return events


def told(event: bytes) -> Any:
    name, data, *rest = event.decode().split("\n")
    assert (name, rest) == ("event: overview", ["", ""])
    return json.loads(data.removeprefix("data: "))


def test_every_new_status_is_one_event_for_every_listener() -> None:
    async def story(pulse: Pulse, stream: Stream) -> None:
        one, other = await begun(stream), await begun(stream)
        assert told(await anext(one))["versions"][0]["model"] == "payments"
        await anext(other)
        waiting = asyncio.ensure_future(anext(other))
        await asyncio.sleep(0)
        assert not waiting.done()
        pulse.publish(again(STATUS))
        assert told(await anext(one)) == told(await waiting)
        assert stream.listeners == 2

    run(story)


def test_a_monitor_that_stops_watching_is_told_without_a_new_status() -> None:
    async def story(pulse: Pulse, stream: Stream) -> None:
        events = await begun(stream)
        assert told(await anext(events))["headlines"][0]["word"] != "Not watching"
        pulse.fail("OSError: log is gone")
        assert told(await anext(events))["headlines"][0]["word"] == "Not watching"

    run(story)


def test_one_listener_too_many_is_refused_and_let_in_when_another_leaves() -> None:
    async def story(pulse: Pulse, stream: Stream) -> None:
        listening = [await begun(stream) for _ in range(LISTENERS_MAX)]
        refused = await stream.stream(ASKED)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert json.loads(bytes(refused.body))["code"] == "too_many_listeners"
        await listening.pop().aclose()  # type: ignore[attr-defined]
        assert stream.listeners == LISTENERS_MAX - 1
        await begun(stream)

    run(story)


def test_those_that_are_let_in_at_once_are_counted_too() -> None:
    async def story(pulse: Pulse, stream: Stream) -> None:
        answers = [await stream.stream(ASKED) for _ in range(LISTENERS_MAX + 1)]
        *within, beyond = [answer.body_iterator for answer in answers if isinstance(answer, StreamingResponse)]
        for events in within:
            await anext(events)  # type: ignore[call-overload]
        with pytest.raises(StopAsyncIteration):
            await anext(beyond)  # type: ignore[call-overload]

    run(story)


def test_closing_ends_every_stream_and_lets_no_other_begin() -> None:
    async def story(pulse: Pulse, stream: Stream) -> None:
        events = await begun(stream)
        await anext(events)
        waiting = asyncio.ensure_future(anext(events, None))
        stream.close()
        assert await waiting is None
        assert stream.listeners == 0
        assert (await stream.stream(ASKED)).status_code == 503

    run(story)


def test_a_stream_ends_so_that_its_key_is_looked_at_again() -> None:
    async def story(pulse: Pulse, _: Stream) -> None:
        now_s = [0.0]
        stream = Stream(pulse, lambda: now_s[0])
        events = await begun(stream)
        await anext(events)
        now_s[0] = STREAM_S_MAX
        assert await anext(events, None) is None

    run(story)
