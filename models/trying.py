"""The first run of a version, in a process that may use little (models/confined.py): `python -m models.trying`."""

from collections.abc import Mapping

import numpy as np

from models.agreement import agree
from models.baseline import Baseline, matches
from models.confined import Given, memory_refusal, serve
from models.contract import Contract, Tensor
from models.errors import ArtifactRefused, ContractInvalid, Reason, RunFailed
from models.inspect import inspect
from models.manifest import BASELINE, CONTRACT, MODEL
from models.sample import inputs
from models.session import Session
from models.tensors import Array
from models.verdict import Refusal

_OUT_OF_MEMORY = ("bad_alloc", "Failed to allocate", "Cannot allocate")  # in the runtime's words; a test holds them


def main(given: Given) -> Refusal | None:
    """Tries what is given."""
    return attempt(given.files, given.order.ref, given.order.limits.rows)


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
            return memory_refusal(", loading", error.found)
        return Refusal.of(Reason.LOAD, error.where, error.found, error.expected, ref=ref)
    for n in sorted({1, rows}):
        if (refusal := _run(session, contract, baseline, n)) is not None:
            return refusal
    return None


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
            return memory_refusal(where, error.reason)
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


if __name__ == "__main__":
    serve(main)
