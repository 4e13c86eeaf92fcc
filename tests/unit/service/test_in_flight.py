"""What a worker ran when it died is read from its row; real processes that really die, by signals and by a real graph."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from select import select

import pytest

from service.ejection import culprit
from service.in_flight import CELLS, LOADING, LOOP, PID, ROWS_MAX, SHADOW, Board, begin, end, joined, mark_of, unshared
from tests.onnx_models import dividing
from tests.processes import ROOT

pytestmark = pytest.mark.slow

PRELUDE = """
import os, sys, threading
from service.in_flight import LOOP, SHADOW, THREAD, begin, end, joined
cells = joined(sys.argv[1])
"""
# Two threads run versions 1 and 2, and the second one crashes in the runtime itself.
CRASH = """
import numpy as np
from models.session import Session
session = Session(open(sys.argv[2], "rb").read(), ref="m:2")
begin(cells, LOOP, 1)
def shadow():
    begin(cells, SHADOW, 2)
    session.run({"x": np.array([[-8.0]], np.float32)})
thread = threading.Thread(target=shadow)
thread.start()
thread.join()
"""
KILLED = "begin(cells, LOOP, 1); begin(cells, SHADOW, 2); end(cells, SHADOW); os.kill(os.getpid(), 9)"


def died(board: Board, code: str, *words: str) -> tuple[int, int]:
    """The pid of a process that ran this, and the signal that ended it."""
    child = subprocess.Popen([sys.executable, "-c", PRELUDE + code, board.place, *words], cwd=ROOT)
    return child.pid, -child.wait(60)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="other processors divide without a signal")
def test_the_version_whose_run_crashed_is_told_from_the_one_that_ran_beside_it(tmp_path: Path) -> None:
    board, graph = Board(), tmp_path / "model.onnx"
    graph.write_bytes(dividing())
    pid, number = died(board, CRASH, str(graph))
    assert number == signal.SIGFPE
    left, words = board.take(pid)
    assert set(left.running.values()) == {1, 2}
    assert culprit(left) == 2
    assert "Floating point exception" in words
    assert board.take(pid)[0].running == {}
    board.close()


def test_a_kill_says_what_ran_and_what_had_ended_is_not_in_it() -> None:
    board = Board()
    first, _ = died(board, KILLED)
    second, _ = died(board, "os.kill(os.getpid(), 9)")
    left, words = board.take(first)
    assert (set(left.running.values()), set(left.crashed), words) == ({1}, set(), "")
    assert culprit(board.take(second)[0]) is None
    assert board.take(1 << 40) == (type(left)({}, frozenset()), "")
    board.close()


def test_a_worker_without_a_board_or_without_a_row_serves_all_the_same() -> None:
    board = Board()
    for place in (None, "", "/proc/0/fd/1 /proc/0/fd/2"):
        cells = joined(place)
        begin(cells, LOADING, 7)
        end(cells, LOADING)
        assert cells[LOADING] == 0
    for place in range(ROWS_MAX):
        board._cells[place * CELLS + PID] = 1 << 40
    cells = joined(board.place.split()[0] + " /dev/null")
    begin(cells, LOOP, 7)
    assert board.take(os.getpid())[0].running == {}
    board.close()


def test_marks_are_of_the_bytes_and_never_none() -> None:
    assert mark_of("sha256:" + "0" * 64) == 1
    assert mark_of("sha256:" + "f" * 64) == 2**64 - 1
    cells = unshared()
    cells[SHADOW] = mark_of("sha256:" + "f" * 64)
    assert cells[SHADOW] == 2**64 - 1


def test_workers_that_live_at_once_each_have_a_row_and_none_waits_for_another() -> None:
    board, code = Board(), "print('joined', flush=True); sys.stdin.read()"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PRELUDE + code, board.place],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    with ExitStack() as ended:
        for child in started:
            ended.enter_context(child)
            ended.callback(child.kill)
        for child in started:
            assert child.stdout is not None
            assert select([child.stdout], [], [], 30)[0], "waits for another worker"
            assert child.stdout.readline() == "joined\n"
        taken = [board._cells[place * CELLS + PID] for place in range(ROWS_MAX)]
        assert sorted(pid for pid in taken if pid) == sorted(child.pid for child in started)
    board.close()
