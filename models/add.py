"""From a file that somebody brings to a registered version: inspect, derive, describe, try, install."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import msgspec

from models.appraise import appraise
from models.contract import Contract, Privacy
from models.derive import derive
from models.errors import ArtifactMissing
from models.manifest import BASELINE, CARD, CONTRACT, MODEL, Manifest
from models.private import kept_back
from models.registry import Registry
from models.session import Session
from models.tabular import read_table
from models.trials import Trials


@dataclass(frozen=True, slots=True)
class Added:
    """A version that is in the registry."""

    digest: str
    contract: Contract
    baseline_rows: int


def add(
    registry: Registry,
    model: Path,
    ref: str,
    *,
    trials: Trials,
    data: Path | None = None,
    validation: Path | None = None,
    label: str | None = None,
    time: str | None = None,
    by_hour: bool = False,
    privacy: Mapping[str, Privacy] | None = None,
) -> Added:
    """Registers a graph with the contract and baseline that it and its training data imply; `validation`: rows that it was
    not trained on; `privacy`: by feature.

    Raises ArtifactMissing, ArtifactRefused, ContractInvalid; then nothing was registered.
    """
    if not model.is_file():
        raise ArtifactMissing(ref, str(model), "an ONNX graph")
    graph = model.read_bytes()
    trials.attempt(ref, {MODEL: graph})
    frame = read_table(data) if data is not None else None
    session = Session(graph, ref=ref)
    contract, baseline = derive(session, ref, frame, label=label, time=time, by_hour=by_hour)
    if baseline is not None and frame is not None and label is not None:
        table = frame if validation is None else read_table(validation)
        seen = appraise(
            session, ref, contract, baseline, table, label=label, time=time, held_out=validation is not None
        )
        baseline = msgspec.structs.replace(baseline, performance=seen)
    contract, baseline = kept_back(contract, baseline, privacy or {})
    files = {MODEL: graph, CONTRACT: contract.encode(), CARD: _card(model, data, validation, label)}
    if baseline is not None:
        files[BASELINE] = baseline.encode()
    trials.admit(Manifest.of(files).digest, ref, files)
    return Added(registry.install(files), contract, baseline.rows if baseline else 0)


def _card(model: Path, data: Path | None, validation: Path | None, label: str | None) -> bytes:
    """Lineage as far as it is known here; no time, so that adding the same bytes twice gives the same digest."""
    card = {
        "model_file": model.name,
        "data_file": data.name if data else None,
        "data_sha256": sha256(data.read_bytes()).hexdigest() if data else None,
        "label": label,
        "validation_sha256": sha256(validation.read_bytes()).hexdigest() if validation else None,
        "libraries": {name: version(name) for name in ("onnx", "onnxruntime", "numpy")},
    }
    return msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"
