"""A process that may use little and end badly: what is asked of it, and the limits that it gives itself.

stdin: one line of JSON (`Order`), then the bytes of its files and of its requests. stdout: one line of JSON, a `Refusal`
or null.
It limits itself before it reads the first byte of a file. However it ends, nobody else is harmed (models/trials.py).
"""

import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from typing import BinaryIO

import msgspec

from models.errors import Reason
from models.verdict import Limits, Refusal

ANSWER_BYTES_MAX = 1 << 16  # of what it writes, held by the kernel
_COPIES = 5  # of a graph while it is loaded: the bytes, our parse, the runtime's, its tensors, and these packed for its kernels
_FILES_MAX = 64


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done with: `files` name → size, in the order of their bytes; `requests_bytes`: of packed input tensors
    (models/packed.py).
    """

    ref: str
    limits: Limits
    files: dict[str, int]
    requests_bytes: int = 0


class Given(msgspec.Struct, frozen=True):
    """An order with its bytes."""

    order: Order
    files: Mapping[str, bytes]
    requests: bytes


def serve(act: Callable[[Given], Refusal | None]) -> None:
    """Does one thing with what stdin gives, says what came of it, and ends this process."""
    answer = os.dup(1)
    os.dup2(2, 1)  # what the runtime prints is no answer
    os.write(answer, msgspec.json.encode(follow(sys.stdin.buffer, act)) + b"\n")
    os._exit(0)  # whatever the graph left behind in this process does not get a say at its end


def follow(source: BinaryIO, act: Callable[[Given], Refusal | None]) -> Refusal | None:
    """Limits this process, then acts."""
    order = msgspec.json.decode(source.readline(ANSWER_BYTES_MAX), type=Order)
    restrict(order.limits, sum(order.files.values()) + order.requests_bytes)
    try:
        files = {name: source.read(size) for name, size in order.files.items()}
        return act(Given(order, files, source.read(order.requests_bytes)))
    except MemoryError:
        return memory_refusal("", "more memory than it may use")


def restrict(limits: Limits, size: int) -> None:
    """For this process from now on."""
    signal.setitimer(signal.ITIMER_REAL, limits.wall_s)  # not handled: it ends also what never returns to Python
    used = int(_proc("/proc/self/statm").split()[0] or 0) * resource.getpagesize()
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, ANSWER_BYTES_MAX),
        (resource.RLIMIT_NOFILE, _FILES_MAX),
        (resource.RLIMIT_AS, used + limits.memory_bytes + _COPIES * size),
    ):
        resource.setrlimit(what, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
    try:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123  # if the machine runs short, this process goes first
            file.write("1000")
    except OSError:
        pass


def memory_refusal(where: str, found: str) -> Refusal:
    """What is said of a version that wants more than `Limits` give."""
    return Refusal.of(Reason.MEMORY, where, found, "no more than trial_memory_bytes_max")


def _proc(path: str) -> str:
    try:
        with open(path) as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return "0"
