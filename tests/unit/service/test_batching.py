"""The micro-batcher with runs that the test holds back: who gets what, what is joined, what is not run."""

import asyncio
import gc
import threading
import time
import weakref
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.batch import size_bytes
from service.batch_plan import Cost
from service.batching import TURNS_BETWEEN_RUNS, Batcher
from service.caller import Caller
from service.errors import ClientGone, DeadlineExceeded, Internal, Overloaded, RuntimeFailed
from service.joined import Joint
from service.telemetry import Telemetry
from tests.unit.service.gates import (
    FAR_NS,
    POISON,
    Fickle,
    Gate,
    Mixing,
    Summing,
    answers,
    ask,
    held,
    plain,
    proven,
    run,
    until,
)

pytestmark = pytest.mark.slow

MIX = st.lists(st.lists(st.floats(-0.5, 1e6), min_size=1, max_size=20), min_size=1, max_size=12)


def in_ms(ms: float) -> int:
    return time.monotonic_ns() + int(ms * 1e6)


# --- own rows -----------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(MIX, st.integers(1, 9), st.sampled_from([0.0, 1e9]), st.sampled_from([0, 200]))
def test_every_request_gets_exactly_its_own_rows(
    mix: list[list[float]], max_batch_rows: int, inline_below_us: float, delay_us: int
) -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        for _ in range(2):  # once while the graph is not trusted yet, once after
            found = await answers(*(ask(batcher, gate, *values) for values in mix))
            assert found == [[2 * value + 1 for value in values] for values in mix]
            await proven(batcher, gate)

    run(
        test, max_batch_rows=max_batch_rows, max_queue_rows=1_000, inline_below_us=inline_below_us,
        max_queue_delay_us=delay_us,
    )  # fmt: skip


def test_what_waits_when_a_run_ends_is_the_next_batch() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        first = await held(batcher, gate)
        others = [ask(batcher, gate, float(i), float(i)) for i in range(3)]
        await asyncio.sleep(0)
        gate.open.set()
        assert await answers(first, *others) == [[1], [1, 1], [3, 3], [5, 5]]
        assert gate.sizes == [1, 6]

    run(test)


def test_a_request_larger_than_a_batch_is_divided_and_its_tail_joined() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        first = await held(batcher, gate)
        large, small = ask(batcher, gate, *range(20)), ask(batcher, gate, 7.0)
        await asyncio.sleep(0)
        gate.open.set()
        assert (await answers(first, large, small))[1:] == [[2.0 * i + 1 for i in range(20)], [15]]
        assert gate.sizes == [1, 8, 8, 5]

    run(test)


def test_small_requests_of_one_tick_are_joined_on_the_event_loop_when_that_saves_time() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        queue = batcher._queues[gate]  # type: ignore[index]
        queue._cheap_rows, queue.open_rows = 0, 0  # as if one row took longer than joining costs
        await answers(*(ask(batcher, gate, float(i)) for i in range(6)))
        assert gate.sizes == [6]
        assert gate.threads == [threading.get_ident()]

    run(test, inline_below_us=1e9)


# --- one does not harm another ------------------------------------------------------------------------------------


def test_a_bad_row_fails_its_own_request_and_no_other() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        first = await held(batcher, gate)
        good, bad, last = ask(batcher, gate, 1.0), ask(batcher, gate, 2.0, POISON), ask(batcher, gate, 3.0)
        await asyncio.sleep(0)
        gate.open.set()
        assert await answers(first, good, last) == [[1], [3], [7]]
        with pytest.raises(RuntimeFailed, match="gate:1: the runtime failed: it does not like a row"):
            await bad

    run(test)


def test_a_divided_request_with_a_bad_row_is_failed_once_and_the_rest_of_it_is_not_run() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        with pytest.raises(RuntimeFailed):
            await ask(batcher, gate, POISON, *range(30))
        assert gate.sizes == [8]
        assert await answers(ask(batcher, gate, 1.0)) == [[3]]

    run(test)


def test_a_cancelled_caller_is_not_run_breaks_nobody_and_leaves_its_place() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        first = await held(batcher, gate)
        gone, stays = ask(batcher, gate, *[5.0] * 9), ask(batcher, gate, 2.0)
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        another = ask(batcher, gate, *[1.0] * 9)  # there is room only where the cancelled one was
        await asyncio.sleep(0)
        gate.open.set()
        assert (await answers(first, stays, another))[1] == [5]
        assert sum(gate.sizes) == 1 + 1 + 9
        with pytest.raises(asyncio.CancelledError):
            await gone

    run(test, max_queue_rows=10)


def test_whoever_goes_while_it_waits_is_not_run_and_leaves_its_place() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        first = await held(batcher, gate)
        callers = [Caller() for _ in range(9)]
        gone = [ask(batcher, gate, 5.0, caller=caller) for caller in callers]
        stays = ask(batcher, gate, 2.0, caller=Caller())
        await asyncio.sleep(0)
        for caller in callers:
            assert caller.waiting is not None
            caller.waiting.set_exception(ClientGone())
        await asyncio.wait(gone)
        another = ask(batcher, gate, *[1.0] * 9)  # there is room only where they were
        await asyncio.sleep(0)
        gate.open.set()
        assert (await answers(first, stays, another))[1] == [5]
        assert sum(gate.sizes) == 1 + 1 + 9
        assert all(isinstance(task.exception(), ClientGone) for task in gone)
        assert all(caller.waiting is None for caller in callers)

    run(test, max_queue_rows=10)


def test_those_who_go_between_two_runs_are_no_queue_that_empties_slowly() -> None:
    """The time until the next request would be taken for what their rows took: of a quiet hour for each of them an hour."""

    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        queue = batcher._queues[gate]  # type: ignore[index]
        gate.open.clear()
        before = len(gate.sizes)
        first, gone = ask(batcher, gate, 1.0, 2.0, 3.0), ask(batcher, gate, 4.0)
        await until(lambda: len(gate.sizes) > before, "the run has begun")
        waits = ask(batcher, gate, 5.0)
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.wait([first, gone])
        waiting_ns = queue._ended_ns
        waits.cancel()
        await asyncio.wait([waits])
        await until(lambda: not queue.busy, "nothing waits and nothing runs")
        assert waiting_ns > 0
        assert queue._ended_ns == 0

    run(test)


def test_callers_cancelled_while_they_are_run_do_not_break_the_others() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        first = await held(batcher, gate)
        behind = ask(batcher, gate, 4.0)
        await asyncio.sleep(0)
        first.cancel()
        gate.open.set()
        assert await answers(behind) == [[9]]

    run(test)


def test_a_defect_answers_all_who_wait_and_the_next_are_served() -> None:
    for inline_below_us in (0.0, 1e9):
        told: list[Any] = []

        async def test(batcher: Batcher, told: list[Any] = told) -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
            gate = Gate()
            await proven(batcher, gate)
            queue = batcher._queues[gate]  # type: ignore[index]
            queue.open_rows = 0  # the way through the queue
            gate.defect = KeyError("ours")
            doomed = [ask(batcher, gate, 1.0), ask(batcher, gate, 2.0)]
            await asyncio.wait(doomed, timeout=10)
            assert [type(task.exception()) for task in doomed] == [Internal, Internal]
            gate.defect = None
            assert await answers(ask(batcher, gate, 1.0)) == [[3]]

        run(test, inline_below_us=inline_below_us)
        assert [type(error) for error in told] == [KeyError]


# --- what may be joined -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Mixing, Summing])
def test_a_graph_that_mixes_its_rows_is_found_out_and_run_alone(kind: type[Gate]) -> None:
    async def test(batcher: Batcher) -> None:
        gate = kind()
        alone = [gate.answer(np.array([i, i + 1.0]))[0].tolist() for i in range(4)]
        for _ in range(3):
            found = await answers(*(ask(batcher, gate, i, i + 1.0) for i in range(4)))
            assert found == alone
        (whole,) = await answers(ask(batcher, gate, *range(20)))  # and it is not divided
        assert whole == gate.answer(np.arange(20.0))[0].tolist()

    run(test)


def test_a_trusted_graph_that_answers_otherwise_for_some_rows_is_run_alone() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Fickle()
        await proven(batcher, gate)
        first = await held(batcher, gate)
        others = [ask(batcher, gate, 1.0, 2.0) for _ in range(3)]
        await asyncio.sleep(0)
        gate.open.set()
        assert await answers(first, *others) == [[1], [3, 5], [3, 5], [3, 5]]

    run(test)


def test_tensors_of_different_lengths_are_never_joined() -> None:
    joint = Joint(plain((-1,)))
    uneven = {"x": np.zeros(2), "y": np.zeros(3)}
    assert joint.shape_of(uneven, 2) != joint.shape_of(uneven, 2)
    switched = {"x": np.zeros(2), "switch": np.array(True)}  # a scalar beside the rows
    assert joint.shape_of(switched, 2) != joint.shape_of(switched, 2)
    assert joint.shape_of({"x": np.zeros(2)}, 2) == joint.shape_of({"x": np.zeros(3)}, 3)


def test_a_graph_of_fixed_batch_is_run_alone_and_does_not_wait_for_company() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate((2,))
        for _ in range(3):
            assert await answers(*(ask(batcher, gate, float(i), 0.0) for i in range(3))) == [[1, 1], [3, 1], [5, 1]]
        assert set(gate.sizes) == {2}

    run(test, max_queue_delay_us=10**9)


def test_requests_of_other_sizes_beside_the_batch_are_not_joined() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate((-1, -1))

        def of(width: int, value: float) -> "asyncio.Task[Any]":
            tensors = {"x": np.full((2, width), value)}
            return asyncio.ensure_future(batcher.run(gate, tensors, 2, FAR_NS))  # type: ignore[arg-type]

        for _ in range(3):
            await of(3, 1.0)
        gate.sizes.clear()
        first = await held_wide(batcher, gate)
        waiting = [of(3, 1.0), of(3, 2.0), of(4, 3.0), of(3, 4.0)]
        await asyncio.sleep(0)
        gate.open.set()
        found = await asyncio.gather(first, *waiting)
        assert [ran.outputs[0].shape for ran in found[1:]] == [(2, 3), (2, 3), (2, 4), (2, 3)]
        assert [ran.outputs[0][0, 0] for ran in found[1:]] == [3, 5, 7, 9]
        assert gate.sizes == [2, 4, 2, 2]

    async def held_wide(batcher: Batcher, gate: Gate) -> "asyncio.Task[Any]":
        gate.open.clear()
        first = asyncio.ensure_future(batcher.run(gate, {"x": np.zeros((2, 3))}, 2, FAR_NS))  # type: ignore[arg-type]
        await until(lambda: gate.sizes, "the run has begun")
        return first

    run(test)


# --- inline or in the thread --------------------------------------------------------------------------------------


def test_what_is_cheap_is_run_at_once_and_what_is_dear_in_a_thread() -> None:
    async def test(batcher: Batcher) -> None:
        gate, here = Gate(), threading.get_ident()
        await proven(batcher, gate)
        await ask(batcher, gate, 1.0)
        await ask(batcher, gate, *[1.0] * 1_000_000)
        assert gate.threads[0] == here
        assert here not in gate.threads[1:]

    run(test, inline_below_us=20_000, max_batch_rows=1_000_000, max_queue_rows=10_000_000)


def test_a_canary_at_the_border_is_run_where_its_stable_twin_is() -> None:
    async def test(batcher: Batcher) -> None:
        stable, canary, alone = Gate(), Gate(), Gate(model="another")
        for gate, took_us in ((stable, 19_000), (canary, 21_000), (alone, 21_000)):
            await ask(batcher, gate, 1.0)
            queue = batcher._queues[gate]
            queue._cost, queue.inline_rows = Cost(), 0  # as if nothing had been run yet
            queue._learn(1, took_us)
            gate.threads.clear()
        for gate in (stable, canary, alone):
            await ask(batcher, gate, 1.0)
        here = threading.get_ident()
        assert [gate.threads == [here] for gate in (stable, canary, alone)] == [True, True, False]

    run(test, inline_below_us=20_000)


def test_behind_a_run_nothing_is_run_on_the_event_loop() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        await ask(batcher, gate, 1.0)
        gate.open.clear()
        dear = ask(batcher, gate, *[1.0] * 1_000_000)
        await until(lambda: 1_000_000 in gate.sizes, "the run has begun")
        behind = ask(batcher, gate, 1.0)
        await asyncio.sleep(0)
        assert not behind.done()  # run here it would have stopped the loop at the gate
        gate.open.set()
        await answers(dear, behind)

    run(test, inline_below_us=20_000, max_batch_rows=1_000_000, max_queue_rows=10_000_000)


# --- what is not run ----------------------------------------------------------------------------------------------


def test_what_does_not_fit_in_the_queue_is_refused_at_once_and_later_let_in_again() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await ask(batcher, gate, 1.0)
        first = await held(batcher, gate)
        admitted = [ask(batcher, gate, *[1.0] * 5) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="10 rows wait, at most 10 may"):
            await ask(batcher, gate, 1.0)
        gate.open.set()
        await answers(first, *admitted)
        await ask(batcher, gate, 1.0)

    run(test, max_queue_rows=10)


def test_what_waits_is_bounded_by_its_bytes_and_its_place_is_free_when_it_is_run_or_gone() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        queue = batcher._queues[gate]  # type: ignore[index]
        for _ in range(2):
            first = await held(batcher, gate)
            stays, gone = ask(batcher, gate, *[1.0] * 6), ask(batcher, gate, *[1.0] * 4)  # 80 bytes
            await asyncio.sleep(0)
            with pytest.raises(Overloaded, match="80 bytes wait, at most 80 may"):
                await ask(batcher, gate, 1.0)
            gone.cancel()
            await asyncio.wait([gone])
            another = ask(batcher, gate, *[2.0] * 4)
            await asyncio.sleep(0)
            assert queue._bytes == 80
            gate.open.set()
            await answers(first, stays, another)
            assert (queue._bytes, queue._rows) == (0, 0)

    run(test, max_queue_bytes=80)


def test_strings_wait_with_their_characters() -> None:
    assert size_bytes({"x": np.zeros(4, np.float32), "s": np.array([["four"], ["1"]], object)}) == 16 + 2 * 8 + 5


def test_a_request_larger_than_the_queue_is_run_when_nothing_waits() -> None:
    async def test(batcher: Batcher) -> None:
        assert len((await answers(ask(batcher, Gate(), *[1.0] * 50)))[0]) == 50

    run(test, max_queue_rows=10)


def test_what_would_expire_behind_the_others_is_refused_at_once() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        for _ in range(50):
            batcher._queues[gate]._cost.learn(8, 1e9)  # type: ignore[index]  # a full batch takes very long
        first = await held(batcher, gate)
        patient = ask(batcher, gate, 1.0)
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await ask(batcher, gate, 1.0, deadline_ns=in_ms(5_000))
        gate.open.set()
        await answers(first, patient)

    run(test)


def test_what_has_expired_before_its_turn_is_not_run_and_is_told_while_the_run_lasts() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        first = await held(batcher, gate)
        late, patient = ask(batcher, gate, 5.0, deadline_ns=in_ms(20)), ask(batcher, gate, 6.0)
        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(late, 10)
        assert not first.done()
        gate.open.set()
        assert await answers(first, patient) == [[1], [13]]
        assert gate.sizes == [1, 1]

    run(test)


def test_what_came_with_the_run_that_it_waits_for_is_told_of_its_expiry_too() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        gate.open.clear()
        full, late = ask(batcher, gate, *range(8)), ask(batcher, gate, 5.0, deadline_ns=in_ms(20))
        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(late, 10)
        assert not full.done()
        gate.open.set()
        await full

    run(test)


def test_the_earliest_deadline_is_told_first_whatever_came_before_it() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        first = await held(batcher, gate)
        patient, late = (
            ask(batcher, gate, 6.0, deadline_ns=in_ms(60_000)),
            ask(batcher, gate, 5.0, deadline_ns=in_ms(20)),
        )
        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(late, 10)
        gate.open.set()
        assert await answers(first, patient) == [[1], [13]]

    run(test)


@pytest.mark.parametrize("inline_below_us", [0.0, 1e9])
def test_what_comes_too_late_is_not_run(inline_below_us: float) -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        with pytest.raises(DeadlineExceeded):
            await ask(batcher, gate, 1.0, deadline_ns=in_ms(-1))
        assert gate.sizes == []

    run(test, inline_below_us=inline_below_us)


# --- waiting for company ------------------------------------------------------------------------------------------


TRIES_MAX = 10


def reasons(batcher: Batcher, gate: Gate) -> dict[str, int]:
    counted = {str(reason): n for reason, n in batcher._telemetry.batches("gate", "1").reasons.items()}
    batcher._telemetry.batches("gate", "1").reasons.clear()
    return counted


def test_why_a_batch_was_released_is_counted() -> None:
    async def idle(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        assert set(reasons(batcher, gate)) == {"idle"}

    async def full(batcher: Batcher) -> None:
        gate = Gate()
        await ask(batcher, gate, 1.0)  # of what costs nobody knows how much nothing waits
        assert reasons(batcher, gate) == {"idle": 1}
        await answers(*(ask(batcher, gate, 1.0, 2.0, 3.0, 4.0) for _ in range(2)))
        assert reasons(batcher, gate) == {"full": 1}

    async def timer(batcher: Batcher) -> None:
        gate = Gate()
        await ask(batcher, gate, 1.0)
        reasons(batcher, gate)
        await answers(*(ask(batcher, gate, 1.0) for _ in range(3)))
        assert reasons(batcher, gate) == {"timer": 1}

    async def deadline(batcher: Batcher) -> None:
        gate = Gate()
        await ask(batcher, gate, 1.0)
        for _ in range(TRIES_MAX):
            reasons(batcher, gate)
            with suppress(DeadlineExceeded):  # the machine was away for longer than the timer's slack
                await answers(ask(batcher, gate, 1.0), ask(batcher, gate, 2.0, deadline_ns=in_ms(1_000)))
                break
        assert reasons(batcher, gate) == {"deadline": 1}

    run(idle)
    run(full, max_queue_delay_us=10**9)
    run(timer, max_queue_delay_us=5_000)
    run(timer, max_queue_delay_us=5_000, inline_below_us=1e9)
    run(deadline, max_queue_delay_us=10**9)


def test_rows_and_reasons_reach_the_metrics() -> None:
    telemetry = Telemetry()

    async def test(batcher: Batcher) -> None:
        await answers(*(ask(batcher, Gate(), *range(3)) for _ in range(2)))

    run(test, telemetry)
    telemetry.publish({}, {})
    telemetry.publish({}, {})  # what was published is not published again
    telemetry.batches("gate", "1").add(3, "idle")
    telemetry.publish({}, {})
    (rows,) = telemetry._batch_rows.collect()
    found = {(s.name, s.labels.get("le")): s.value for s in rows.samples}
    assert found["plumbline_batch_rows_count", None] == 3
    assert found["plumbline_batch_rows_sum", None] == 9
    assert (found["plumbline_batch_rows_bucket", "2.0"], found["plumbline_batch_rows_bucket", "4.0"]) == (0, 3)
    (releases,) = telemetry._releases.collect()
    counted = [s for s in releases.samples if s.name.endswith("_total")]
    assert [(s.labels, s.value) for s in counted] == [({"model": "gate", "version": "1", "reason": "idle"}, 3)]


# --- the end ------------------------------------------------------------------------------------------------------


def test_what_was_admitted_is_answered_after_close() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await proven(batcher, gate)
        first = await held(batcher, gate)
        waiting = ask(batcher, gate, 2.0)
        await asyncio.sleep(0)
        gate.open.set()
        batcher.close()
        assert await answers(first, waiting, ask(batcher, gate, 3.0)) == [[1], [5], [7]]

    run(test)


def test_a_version_that_is_no_longer_served_is_let_go() -> None:
    async def test(batcher: Batcher) -> None:
        gate = Gate()
        await answers(*(ask(batcher, gate, 1.0) for _ in range(3)))
        gone = weakref.ref(gate)
        del gate
        for _ in range(TURNS_BETWEEN_RUNS + 1):
            await asyncio.sleep(0)
        gc.collect()
        assert gone() is None
        assert len(batcher._queues) == 0

    run(test)
