"""The thread of long runs: is everything told once, in order, and nobody kept waiting?"""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import uvloop

from service.run_thread import RunThread


def run(test: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test)


def test_results_and_errors_are_told_once_and_in_order_on_the_loop() -> None:
    async def test() -> None:
        thread, told = RunThread[int]("test"), asyncio.Queue[tuple[int | None, str, int]]()
        here = threading.get_ident()

        def tell(result: int | None, error: BaseException | None) -> None:
            told.put_nowait((result, repr(error), threading.get_ident()))

        assert thread.submit(lambda: 1, tell)
        assert thread.submit(lambda: 1 // 0, tell)
        assert thread.submit(threading.get_ident, tell)
        assert await told.get() == (1, "None", here)
        assert await told.get() == (None, "ZeroDivisionError('integer division or modulo by zero')", here)
        elsewhere, _, at = await told.get()
        assert elsewhere != here and at == here
        thread.close()

    run(test())


def test_a_thread_does_first_what_it_was_made_to_begin_with_once() -> None:
    async def test() -> None:
        said, told = list[str](), asyncio.Queue[int | None]()
        thread = RunThread[int]("test", begin=lambda: said.append("begin"))
        for _ in range(2):
            thread.submit(lambda: said.append("job") or len(said), lambda result, _: told.put_nowait(result))
        assert (await told.get(), await told.get(), said) == (2, 3, ["begin", "job", "job"])
        thread.close()

    run(test())


def test_after_close_nothing_begins_and_what_was_submitted_is_done() -> None:
    async def test() -> None:
        thread, gate, told = RunThread[bool]("test"), threading.Event(), asyncio.Queue[bool | None]()
        assert thread.submit(gate.wait, lambda result, _: told.put_nowait(result))
        thread.close()  # does not wait
        assert not thread.submit(gate.wait, lambda result, _: told.put_nowait(result))
        gate.set()
        assert await told.get() is True
        assert told.empty()

    run(test())


def test_a_run_that_ends_after_its_loop_tells_nobody() -> None:
    gate, ended = threading.Event(), threading.Event()

    async def test() -> None:
        thread = RunThread[bool]("test")
        thread.submit(gate.wait, lambda *_: None)
        thread.submit(ended.set, lambda *_: None)  # type: ignore[arg-type]  # its result is nobody's
        thread.close()

    run(test())
    gate.set()
    assert ended.wait(10)  # the thread went on after it could not tell
