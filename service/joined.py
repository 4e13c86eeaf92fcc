"""Runs the rows of several requests as one, and gives each its own rows back.

Laws
- The outputs of a part are those of its own rows, in their order.
- A part fails only of its own rows: when a joined run fails, its parts are run one by one.
- A graph is trusted with joined rows after PROOFS runs whose first and last row came out as they do alone, and is tried again
  every PROOF_EVERY runs (equal rows prove little); one that mixes its rows, or does not answer row by row, runs each request
  alone from then on.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from time import monotonic_ns
from typing import NamedTuple

import numpy as np

from models.contract import Contract
from models.errors import RunFailed
from models.session import Session
from models.tensors import Array
from service.errors import RuntimeFailed

PROOFS = 3  # each costs two runs of one row
PROOF_EVERY = 256  # so below 1 % of the runs
_TOLERANCE_RELATIVE, _TOLERANCE_ABSOLUTE = 1e-4, 1e-5  # kernels sum in another order for another size

Tensors = Mapping[str, Array]
Result = list[Array] | RuntimeFailed


class Joint:
    """May rows of several requests of one version share a run, and may one request be divided?"""

    __slots__ = ("_proofs", "_runs", "allowed", "ragged")

    def __init__(self, contract: Contract) -> None:
        self.allowed = all(tensor.shape[:1] == (-1,) for tensor in contract.inputs)
        self.ragged = any(-1 in tensor.shape[1:] for tensor in contract.inputs if not tensor.columns)
        self._proofs = self._runs = 0

    @property
    def proven(self) -> bool:
        return self.allowed and self._proofs >= PROOFS

    def doubted(self) -> bool:
        """Is the next run of several rows to be proven?"""
        self._runs += 1
        return self.allowed and (self._proofs < PROOFS or self._runs % PROOF_EVERY == 0)

    def note(self, *, by_row: bool) -> None:
        """What one more proof gave."""
        self._proofs += 1
        self.allowed = self.allowed and by_row

    def shape_of(self, inputs: Tensors, rows: int) -> object:
        """Equal for inputs that can be joined; the sizes beside the batch, where the graph leaves them free."""
        for array in inputs.values():
            if array.shape[:1] != (rows,):
                return object()  # scalars and tensors of different lengths are the graph's to judge, alone
        return tuple(array.shape[1:] for array in inputs.values()) if self.ragged else None


class Joined(NamedTuple):
    """One result a part, and how long the run took; None where the parts were run one by one."""

    results: list[Result]
    took_us: float | None


def run_parts(session: Session, ref: str, parts: Sequence[Tensors], sizes: Sequence[int], joint: Joint) -> Joined:
    """Blocking: call it where that may be. `ref` names the version in errors, `sizes` are the rows of each part."""
    try:
        whole = parts[0] if len(parts) == 1 else _concatenated(parts)
        begun_ns = monotonic_ns()
        outputs = session.run(whole)
        took_us = (monotonic_ns() - begun_ns) / 1000
    except (RunFailed, ValueError) as error:  # ValueError: parts that do not lie together
        if len(parts) == 1 and isinstance(error, RunFailed):
            return Joined([RuntimeFailed(ref, error.reason)], None)
        return _one_by_one(session, ref, parts)
    rows = sum(sizes)
    if rows > 1 and joint.doubted():
        joint.note(by_row=_by_row(session, whole, outputs, rows))
    if len(parts) == 1:
        return Joined([outputs], took_us)
    joint.allowed = joint.allowed and _row_each(outputs, rows)
    if not joint.allowed:
        return _one_by_one(session, ref, parts)
    borders = [0, *accumulate(sizes)]
    return Joined([[output[a:b] for output in outputs] for a, b in pairwise(borders)], took_us)


def _concatenated(parts: Sequence[Tensors]) -> dict[str, Array]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _one_by_one(session: Session, ref: str, parts: Sequence[Tensors]) -> Joined:
    results: list[Result] = []
    for part in parts:
        try:
            results.append(session.run(part))
        except RunFailed as error:
            results.append(RuntimeFailed(ref, error.reason))
    return Joined(results, None)


def _row_each(outputs: Sequence[Array], rows: int) -> bool:
    return all(output.shape[:1] == (rows,) for output in outputs)


def _by_row(session: Session, whole: Tensors, outputs: Sequence[Array], rows: int) -> bool:
    """Does every output have the batch first, and the first and the last row what they have alone?"""
    if not _row_each(outputs, rows):
        return False
    for place in (0, rows - 1):
        try:
            alone = session.run({name: array[place : place + 1] for name, array in whole.items()})
        except RunFailed:
            return False
        if not all(_alike(one, output[place : place + 1]) for one, output in zip(alone, outputs, strict=True)):
            return False
    return True


def _alike(one: Array, other: Array) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    return bool(np.allclose(one, other, _TOLERANCE_RELATIVE, _TOLERANCE_ABSOLUTE, equal_nan=True))
