"""Requests as the queue holds them, and the batch in which their rows are run.

Laws
- A request is answered once, when all its rows were run, or with the first error.
- Whoever no longer waits is passed over; nobody waits for ever: a batch that is given up answers all its members.
"""

import asyncio
from time import monotonic_ns
from typing import NamedTuple

import numpy as np

from models.tensors import Array
from service.errors import Internal, RequestError, RuntimeFailed
from service.in_flight import LOOP, THREAD, Cells, begin, end
from service.joined import Joined, Joint, Tensors, run_parts
from service.served import ServedVersion


class Ran(NamedTuple):
    """What one request's rows gave, and what they took; durations in µs."""

    outputs: list[Array]
    queue_us: int
    compute_us: int


class Waiting:
    """A request in the queue, or partly out of it."""

    __slots__ = (
        "answer", "compute_us", "deadline_ns", "inputs", "outputs", "queue_us", "queued_ns", "rows", "settled", "shape",
        "taken", "waiting_bytes",
    )  # fmt: skip

    def __init__(
        self, inputs: Tensors, rows: int, deadline_ns: int, shape: object, answer: "asyncio.Future[Ran]"
    ) -> None:
        self.inputs, self.rows, self.deadline_ns, self.shape = inputs, rows, deadline_ns, shape
        self.queued_ns = monotonic_ns()
        self.answer = answer
        self.waiting_bytes = size_bytes(inputs)  # 0 when none of it waits any more
        self.taken = self.settled = self.queue_us = self.compute_us = 0
        self.outputs: list[list[Array]] = []

    @property
    def left(self) -> int:
        """Rows that are in no batch yet."""
        return self.rows - self.taken

    def part(self, rows: int) -> Tensors:
        """Its next rows."""
        start, self.taken = self.taken, self.taken + rows
        if rows == self.rows:
            return self.inputs
        return {name: array[start : self.taken] for name, array in self.inputs.items()}

    def settle(self, result: list[Array] | RuntimeFailed, rows: int, began_ns: int, took_us: int) -> None:
        """One more part was run."""
        if isinstance(result, RuntimeFailed):
            self.fail(result)
            return
        if self.answer.done():
            return
        if not self.settled:
            self.queue_us = (began_ns - self.queued_ns) // 1000
        self.settled += rows
        self.compute_us += took_us
        self.outputs.append(result)
        if self.settled == self.rows:
            whole = result if len(self.outputs) == 1 else [np.concatenate(p) for p in zip(*self.outputs, strict=True)]
            self.answer.set_result(Ran(whole, self.queue_us, self.compute_us))

    def fail(self, error: RequestError) -> None:
        """No further part of it need be run."""
        if not self.answer.done():
            self.answer.set_exception(error)


def size_bytes(inputs: Tensors) -> int:
    """What these tensors hold; of strings their characters, and the pointers to them."""
    size = 0
    for array in inputs.values():
        size += array.nbytes
        if array.dtype == object:
            size += sum(map(len, array.ravel()))
    return size


class Batch:
    """Parts of requests that are run together."""

    __slots__ = ("_cells", "_joint", "_version", "began_ns", "members", "parts", "rows", "sizes")

    def __init__(self, version: ServedVersion, joint: Joint, cells: Cells) -> None:
        self._version, self._joint, self._cells = version, joint, cells
        self.members: list[Waiting] = []
        self.parts: list[Tensors] = []
        self.sizes: list[int] = []
        self.rows = self.began_ns = 0

    def take(self, member: Waiting, rows: int) -> None:
        """The next rows of a request."""
        self.members.append(member)
        self.parts.append(member.part(rows))
        self.sizes.append(rows)
        self.rows += rows

    def run(self) -> Joined:
        """Blocking; on the event loop."""
        return self._run(LOOP)

    def run_aside(self) -> Joined:
        """Blocking; in the thread."""
        return self._run(THREAD)

    def _run(self, slot: int) -> Joined:
        self.began_ns = monotonic_ns()
        begin(self._cells, slot, self._version.mark)
        try:
            return run_parts(self._version.session, self._version.pin.ref, self.parts, self.sizes, self._joint)
        finally:
            end(self._cells, slot)

    def settle(self, ran: Joined | None) -> None:
        """Every member gets its own rows; None: the run was given up by a defect of ours."""
        if ran is None:
            for member in self.members:
                member.fail(Internal())
            return
        took_us = (monotonic_ns() - self.began_ns) // 1000 if ran.took_us is None else int(ran.took_us)
        for member, result, rows in zip(self.members, ran.results, self.sizes, strict=True):
            member.settle(result, rows, self.began_ns, took_us)
