"""The profile: self time is of the innermost function, of the event loop alone."""

from loadtests.bench.profile import self_time, text

STACKS = [
    "thread (7): MainThread;run (loop.py:1);encode (v1.py:2) 30",
    "thread (7): MainThread;run (loop.py:1) 10",
    "thread (8): fsync;wait (thread.py:3) 500",
    "thread (7): MainThread;other (x.py:1);encode (v1.py:2) 60",
]


def test_only_the_innermost_function_of_the_loop_counts() -> None:
    assert self_time(STACKS) == [("encode (v1.py:2)", 0.9), ("run (loop.py:1)", 0.1)]


def test_the_table_names_the_largest_first_and_the_command() -> None:
    told = text(STACKS, "py-spy record")
    assert told.index("| 90.0% | `encode (v1.py:2)` |") < told.index("| 10.0% | `run (loop.py:1)` |")
    assert "`py-spy record`" in told
    assert "fsync" not in told


def test_nothing_seen_is_an_empty_table() -> None:
    assert self_time([]) == []
