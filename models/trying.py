"""The first run of a version, in a process that may use little and end badly: `python -m models.trying`.

stdin: one line of JSON (`Order`), then the bytes of its files and of its requests. stdout: one line of JSON, a `Refusal`
or null.
It limits itself before it reads the first byte of a file. However it ends, nobody else is harmed (models/trials.py).
"""

import os
import resource
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import BinaryIO

import msgspec
import numpy as np

from models.agreement import agree
from models.baseline import Baseline, matches
from models.contract import Contract, Tensor
from models.errors import ArtifactRefused, ContractInvalid, Reason, RunFailed
from models.inspect import inspect
from models.manifest import BASELINE, CONTRACT, MODEL
from models.packed import unpack
from models.sample import inputs
from models.session import Session
from models.tensors import Array
from models.verdict import Limits, Refusal

ANSWER_BYTES_MAX = 1 << 16  # of what it writes, held by the kernel
_COPIES = 5  # of a graph while it is loaded: the bytes, our parse, the runtime's, its tensors, and these packed for its kernels
_FILES_MAX = 64
REHEARSAL_S = 5.0  # a version whose runs take long has had enough of them by then
_OUT_OF_MEMORY = ("bad_alloc", "Failed to allocate", "Cannot allocate")  # in the runtime's words; a test holds them


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be tried: `files` name → size, in the order of their bytes.

    `requests_bytes`: of `models.packed` input tensors; where there are any, they are run instead of a trial.
    """

    ref: str
    limits: Limits
    files: dict[str, int]
    requests_bytes: int = 0


def main(source: BinaryIO) -> Refusal | None:
    """Limits this process, then tries."""
    order = msgspec.json.decode(source.readline(ANSWER_BYTES_MAX), type=Order)
    restrict(order.limits, sum(order.files.values()) + order.requests_bytes)
    try:
        files = {name: source.read(size) for name, size in order.files.items()}
        if order.requests_bytes:
            rehearse(files[MODEL], order.ref, source.read(order.requests_bytes))
            return None
        return attempt(files, order.ref, order.limits.rows)
    except MemoryError:
        return _memory("", "more memory than it may use")


def restrict(limits: Limits, size: int) -> None:
    """For this process from now on."""
    signal.setitimer(
        signal.ITIMER_REAL, limits.wall_s
    )  # its signal is not handled: it ends also what never returns to Python
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


def attempt(files: Mapping[str, bytes], ref: str, rows: int) -> Refusal | None:
    """Inspects, loads, and runs one row and then `rows`; None when it may be served."""
    try:
        inspect(files[MODEL], ref)
        contract = Contract.decode(files[CONTRACT]) if CONTRACT in files else None
        baseline = Baseline.decode(files[BASELINE]) if BASELINE in files else None
        if contract is not None and baseline is not None:
            matches(contract, baseline)
    except (ArtifactRefused, ContractInvalid) as error:
        return Refusal.of(Reason.INSPECTION, error.where, error.found, error.expected, ref=ref)
    try:
        session = Session(files[MODEL], ref=ref)
        if contract is None:
            contract = _plain(session)
        agree(session, contract, ref)
    except (ArtifactRefused, ContractInvalid) as error:
        if _is_memory(error.found):
            return _memory(", loading", error.found)
        return Refusal.of(Reason.LOAD, error.where, error.found, error.expected, ref=ref)
    for n in sorted({1, rows}):
        if (refusal := _run(session, contract, baseline, n)) is not None:
            return refusal
    return None


def rehearse(model: bytes, ref: str, requests: bytes) -> None:
    """Runs them, for REHEARSAL_S at most; a run that fails harms nobody, one that ends this process is its verdict."""
    session, end_s = Session(model, ref=ref), time.monotonic() + REHEARSAL_S
    for given in unpack(requests):
        with suppress(RunFailed):
            session.run(given)
        if time.monotonic() > end_s:
            break


def _plain(session: Session) -> Contract:
    """What a graph alone says: tensors without column meaning."""
    given, back = (
        tuple(Tensor(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape) for tensor in side)
        for side in (session.inputs, session.outputs)
    )
    return Contract(features=(), inputs=given, outputs=back, output_columns=())


def _run(session: Session, contract: Contract, baseline: Baseline | None, rows: int) -> Refusal | None:
    what = "of its baseline" if baseline is not None else "made of its contract"
    where = f", run of {rows} row{'s' if rows > 1 else ''} {what}"
    try:
        given = inputs(contract, baseline, rows)
    except ContractInvalid as error:
        return Refusal.of(Reason.INSPECTION, error.where, error.found, error.expected)
    try:
        outputs = session.run(given)
    except RunFailed as error:
        if _is_memory(error.reason):
            return _memory(where, error.reason)
        if any(-1 in tensor.shape[1:] for tensor in contract.inputs if not tensor.columns):
            return None  # sizes were invented for free dimensions; the graph may refuse them
        return Refusal.of(Reason.RUN, where, error.reason, "answers to its own rows")
    fixed = [tensor.shape[0] for tensor in contract.inputs if tensor.shape]
    n = rows if any(size < 0 for size in fixed) else next(iter(fixed), 1)
    return _answered(contract, outputs, n, where)


def _answered(contract: Contract, outputs: list[Array], n: int, where: str) -> Refusal | None:
    for tensor, output in zip(contract.outputs, outputs, strict=True):
        place = f"{where}, output {tensor.name!r}"
        if tensor.columns and (not output.shape or len(output) != n or output.size != n * len(tensor.columns)):
            expected = f"[{n}, {len(tensor.columns)}]"
            return Refusal.of(Reason.ROWS, place, f"shape {list(output.shape)}", f"{expected}: a row of answers a row")
        if output.dtype.kind == "f" and output.size and np.isnan(output).all():
            return Refusal.of(Reason.NAN, place, "NaN and nothing else", "at least one number")
    return None


def _is_memory(reason: str) -> bool:
    return any(word in reason for word in _OUT_OF_MEMORY)


def _memory(where: str, found: str) -> Refusal:
    return Refusal.of(Reason.MEMORY, where, found, "no more than trial_memory_bytes_max")


def _proc(path: str) -> str:
    try:
        with open(path) as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return "0"


if __name__ == "__main__":
    answer = os.dup(1)
    os.dup2(2, 1)  # what the runtime prints is no answer
    os.write(answer, msgspec.json.encode(main(sys.stdin.buffer)) + b"\n")
    os._exit(0)  # whatever the graph left behind in this process does not get a say at its end
