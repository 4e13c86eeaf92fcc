"""What a batcher tells of followed requests, and that whoever waits for them is treated as ever."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic_ns

import pytest

from service.batch_plan import BatchRules
from service.caller import Caller
from service.errors import ClientGone, DeadlineExceeded, Internal, RuntimeFailed
from service.followed import FollowedCaller
from service.followed_runs import FollowedBatcher
from service.telemetry import Telemetry
from service.trace_context import Trace
from tests.unit.service.gates import POISON, Gate, ask, proven, until

pytestmark = pytest.mark.slow


def run(test: Callable[[FollowedBatcher], Awaitable[None]], inline_below_us: float = 0.0) -> None:
    rules = BatchRules(
        max_batch_rows=4, max_queue_rows=100, max_queue_bytes=1 << 20, max_queue_delay_us=0,
        inline_below_us=inline_below_us,
    )  # fmt: skip

    async def inside() -> None:
        batcher = FollowedBatcher(rules=rules, telemetry=Telemetry())
        try:
            await test(batcher)
        finally:
            batcher.close()
        assert batcher._here == {}

    asyncio.run(inside())


def followed(number: int = 1, caller: Caller | None = None) -> FollowedCaller:
    return FollowedCaller(Trace(number, number), caller)


def test_a_request_is_told_of_each_batch_that_had_its_rows() -> None:
    async def test(batcher: FollowedBatcher) -> None:
        gate, one = Gate(), followed()
        await proven(batcher, gate)
        ran = await ask(batcher, gate, *map(float, range(10)), caller=one)
        assert [part.rows for part in one.parts] == [part.batch_rows for part in one.parts] == [4, 4, 2]
        assert sum(part.took_us for part in one.parts) == ran.compute_us
        times = [one.queued_ns, *(ns for part in one.parts for ns in (part.began_ns, part.ended_ns)), one.dequeued_ns]
        assert times == sorted(times)

    run(test)


def test_requests_of_one_batch_know_of_each_other_and_of_those_who_are_not_followed_only_the_rows() -> None:
    async def test(batcher: FollowedBatcher) -> None:
        gate, first, second, third = Gate(), followed(), followed(2), followed(3)
        await proven(batcher, gate)
        gate.open.clear()
        held = ask(batcher, gate, 1.0, caller=first)
        await until(lambda: len(gate.sizes) > 0 and gate.sizes[-1] == 1, "the first is run")
        waiting = [
            ask(batcher, gate, 2.0, caller=second),
            ask(batcher, gate, 3.0, 4.0, caller=third),
            ask(batcher, gate, 5.0),
        ]
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.gather(held, *waiting)
        assert [(part.batch_rows, part.batch_requests, part.others) for part in first.parts] == [(1, 1, ())]
        (own,), (other,) = second.parts, third.parts
        assert (own.rows, other.rows) == (1, 2)
        assert (own.batch_rows, own.batch_requests) == (other.batch_rows, other.batch_requests) == (4, 3)
        assert (own.others, other.others) == ((third.trace,), (second.trace,))

    run(test)


@pytest.mark.parametrize("inline_below_us", [0.0, 1e9])
def test_a_run_that_fails_is_told_too(inline_below_us: float) -> None:
    async def test(batcher: FollowedBatcher) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        gate = Gate()
        await proven(batcher, gate)
        for error in (RuntimeFailed, Internal) if not inline_below_us else (RuntimeFailed,):
            gate.defect = KeyError("ours") if error is Internal else None
            one = followed()
            with pytest.raises(error):
                await ask(batcher, gate, POISON, caller=one)
            assert len(one.parts) == 1 and one.parts[0].ended_ns <= one.dequeued_ns

    run(test, inline_below_us)


def test_who_expires_was_not_run_and_whose_client_goes_is_let_go() -> None:
    async def test(batcher: FollowedBatcher) -> None:
        gate, late, caller = Gate(), followed(), Caller()
        await proven(batcher, gate)
        gate.open.clear()
        held = ask(batcher, gate, 1.0)
        gone = ask(batcher, gate, 2.0, caller=followed(2, caller))
        await until(lambda: caller.waiting, "the connection knows where its request waits")
        assert caller.waiting is not None
        caller.waiting.set_exception(ClientGone())
        with pytest.raises(ClientGone):
            await gone
        with pytest.raises(DeadlineExceeded):
            await ask(batcher, gate, 3.0, deadline_ns=monotonic_ns() + 1_000_000, caller=late)
        assert late.parts == [] and late.queued_ns < late.dequeued_ns
        gate.open.set()
        await held

    run(test)
