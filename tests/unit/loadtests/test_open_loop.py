"""Does the open-loop driver account for every request, and count from when it was due?"""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from loadtests.drive import Run, Target
from loadtests.open_loop import arrivals
from loadtests.samples import BROKEN, UNANSWERED, Samples, report

Answer = Callable[[int, asyncio.StreamWriter], Awaitable[None]]
BODY = b'{"instances": [[1.0]]}'


def driven(answer: Answer, n: int, *, connections_max: int = 4, grace_s: float = 10.0) -> Samples:
    """What became of n requests, due at once, to a server that treats the nth it reads with `answer`."""

    async def inside() -> Samples:
        seen = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal seen
            try:
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    assert b"content-type: application/json\r\n" in head
                    assert await reader.readexactly(len(BODY)) == BODY
                    number, seen = seen, seen + 1
                    await answer(number, writer)
            except asyncio.IncompleteReadError:
                writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            target = Target.of(f"http://127.0.0.1:{port}/predict", [BODY])
            run = Run(target, np.zeros(n), connections=1, connections_max=connections_max, grace_s=grace_s)
            return await run.run()

    return asyncio.run(inside())


async def ok(number: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


async def busy(number: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 503 Service Unavailable\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")


async def gone(number: int, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def silent(number: int, writer: asyncio.StreamWriter) -> None:
    """No answer, ever."""


def test_every_request_that_was_due_is_told_of_once() -> None:
    kinds = (ok, busy, gone, silent)

    async def mixed(number: int, writer: asyncio.StreamWriter) -> None:
        await kinds[number % 4](number, writer)

    samples = driven(mixed, 16, connections_max=8, grace_s=0.5)
    statuses = samples.status.tolist()
    assert sorted(statuses) == sorted([200, 503, BROKEN, UNANSWERED] * 4)
    assert np.isnan(samples.ended_s[samples.status == UNANSWERED]).all()
    assert not np.isnan(samples.ended_s[samples.status != UNANSWERED]).any()
    told = report(samples, seconds=1)
    assert (told["due"], told["answered"], told["broken"], told["unanswered"]) == (16, 8, 4, 4)
    assert {status: one["n"] for status, one in told["by_status"].items()} == {"200": 4, "503": 4}
    assert told["goodput_per_s"] == 4


def test_what_waits_for_a_connection_has_been_waiting_since_it_was_due() -> None:
    samples = driven(ok, 5, connections_max=1)
    assert samples.connections == 1
    assert (samples.status == 200).all()
    assert (samples.sent_s[1:] >= samples.ended_s[:-1]).all()  # one request at a time over the one connection
    assert samples.latency_ms == pytest.approx(samples.ended_s * 1000)


def test_a_connection_that_the_server_closes_is_replaced() -> None:
    async def last(number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        writer.close()

    samples = driven(last, 6, connections_max=2)
    assert (samples.status == 200).all()
    assert samples.connections == 6


def test_no_server_is_an_error_and_not_a_figure() -> None:
    run = Run(Target.of("http://127.0.0.1:1/", [BODY]), np.zeros(3), connections=1, connections_max=1, grace_s=1)
    with pytest.raises(OSError):
        asyncio.run(run.run())


def test_arrivals_come_at_the_rate_and_are_the_same_for_the_same_seed() -> None:
    due_s = arrivals(1000, 20, seed=7)
    assert (due_s == arrivals(1000, 20, seed=7)).all()
    assert due_s.size != arrivals(1000, 20, seed=8).size or (due_s != arrivals(1000, 20, seed=8)).any()
    assert abs(due_s.size - 20_000) < 5 * 20_000**0.5
    gaps_s = np.diff(due_s)
    assert gaps_s.min() >= 0 and 0.9 < gaps_s.std() / gaps_s.mean() < 1.1  # of a Poisson process both are 1/rate
    assert np.diff(arrivals(1000, 2, seed=1, poisson=False)) == pytest.approx(0.001)


def test_goodput_under_a_deadline_leaves_out_what_came_later() -> None:
    samples = Samples(
        due_s=np.array([0.0, 1.0, 2.0, 3.0]),
        sent_s=np.array([0.0, 1.5, 2.0, 3.0]),
        ended_s=np.array([0.1, 2.1, 2.05, np.nan]),
        status=np.array([200, 200, 503, UNANSWERED]),
        connections=1,
    )
    told = report(samples, seconds=2, deadline_ms=500)
    assert told["goodput_per_s"] == 0.5
    assert told["by_status"]["200"]["latency_ms"]["max"] == pytest.approx(1100)
    assert told["lateness_ms"]["max"] == pytest.approx(500)
    assert report(samples.between(0, 1), seconds=1)["due"] == 1
