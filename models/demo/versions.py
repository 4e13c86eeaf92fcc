"""What is in a demo version, and which pin names it? From a trained model to the four files and the lock."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

from models.demo.card import Card, Gate, digest_of_columns, digest_of_files, libraries, rounded
from models.demo.training import Trained
from models.derive import derive
from models.inspect import inspect
from models.lock import Lock, Pin
from models.manifest import BASELINE, CARD, CONTRACT, MODEL, Manifest
from models.session import Session

FILE_BYTES_MAX = 1_000_000  # of a committed artefact: the repository carries it for ever
AUC_MIN = 0.75
ONNX_DIFFERENCE_MAX = 1e-5
_SOURCES = ("seasons.py", "simulator.py", "tumours.py", "training.py", "export.py")


@dataclass(frozen=True, slots=True)
class Version:
    """The files of a version by name."""

    name: str
    version: str
    files: Mapping[str, bytes]

    @property
    def folder(self) -> str:
        """Where it lies, relative to the lock."""
        return f"demo/artefacts/{self.name}/{self.version}"

    @property
    def pin(self) -> Pin:
        return Pin(
            name=self.name, version=self.version, digest=Manifest.of(self.files).digest, source=f"file:{self.folder}"
        )


def version_of(trained: Trained) -> Version:
    """Raises ContractInvalid when a gate fails, ArtifactRefused when the graph would not be loaded."""
    recipe = trained.recipe
    ref = f"{recipe.name}:{recipe.version}"
    inspect(trained.model, ref)
    session = Session(trained.model, ref=ref)
    contract, baseline = derive(session, ref, trained.frame, label=trained.label, time=trained.time)
    files = {MODEL: trained.model, CONTRACT: contract.encode(), CARD: _card(trained, session).encode()}
    if baseline is not None:
        files[BASELINE] = baseline.encode()
    return Version(recipe.name, recipe.version, files)


def pinned(lock: Lock, versions: list[Version], *, replace: bool) -> Lock:
    """The lock with these versions. Raises PinConflict where one is pinned to other bytes, unless `replace`."""
    refs = {version.pin.ref for version in versions}
    if replace:
        lock = Lock(tuple(pin for pin in lock.pins if pin.ref not in refs))
    for version in versions:
        lock = lock.with_pin(version.pin)
    return lock


def _card(trained: Trained, session: Session) -> Card:
    recipe = trained.recipe
    answered = session.run(trained.held_out)[1]
    auc = rounded(roc_auc_score(trained.truth, answered[:, 1]))
    loss = rounded(log_loss(trained.truth, answered[:, 1]))
    blind = rounded(log_loss(trained.truth, np.full(len(trained.truth), trained.truth.mean())))
    apart = float(f"{np.abs(answered - trained.predicted).max():.1g}")
    return Card(
        model=recipe.name,
        version=recipe.version,
        about=recipe.about,
        data=digest_of_columns({str(name): trained.frame[name].to_numpy() for name in trained.frame}),
        data_rows=len(trained.frame),
        code=digest_of_files([Path(__file__).with_name(name) for name in _SOURCES]),
        parameters=recipe.parameters(),
        libraries=libraries(),
        metrics={"auc": auc, "log_loss": loss, "log_loss_blind": blind, "held_out_rows": len(trained.truth)},
        gates=(
            Gate("auc", auc, at_least=AUC_MIN),
            Gate("log_loss", loss, at_most=blind),
            Gate("onnx_difference", apart, at_most=ONNX_DIFFERENCE_MAX),
            Gate("model_bytes", len(trained.model), at_most=FILE_BYTES_MAX),
        ),
    )
