"""Where does a version come from, and what did it have to show? The lineage that travels with it as card.json."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from models.errors import ContractInvalid

LIBRARIES = ("numpy", "onnx", "onnxruntime", "pandas", "scikit-learn", "skl2onnx")  # whose versions decide the bytes
_DIGITS = 6  # of a metric: the last bits depend on the processor, and would move the digest of the version


class Gate(msgspec.Struct, frozen=True):
    """A bound that a version had to keep before it was written."""

    metric: str
    found: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def passed(self) -> bool:
        return (self.at_least is None or self.found >= self.at_least) and (
            self.at_most is None or self.found <= self.at_most
        )


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """Digests are `sha256:<hex>`; `code` is that of the sources which make the data and the graph."""

    model: str
    version: str
    about: str
    data: str
    data_rows: int
    code: str
    parameters: dict[str, int | float | str]
    libraries: dict[str, str]
    metrics: dict[str, float]
    gates: tuple[Gate, ...]

    def __post_init__(self) -> None:
        for gate in self.gates:
            if not gate.passed:
                bound = f"at least {gate.at_least}" if gate.at_least is not None else f"at most {gate.at_most}"
                raise ContractInvalid(f"{self.model}:{self.version}, {gate.metric}", f"{gate.found:g}", bound)

    def encode(self) -> bytes:
        """Canonical JSON, two-space indent, one final newline."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def rounded(value: float) -> float:
    """A metric as a card keeps it."""
    return float(f"{value:.{_DIGITS}g}")


def libraries() -> dict[str, str]:
    """Installed versions of the libraries that decide the bytes."""
    return {name: version(name) for name in LIBRARIES}


def digest_of_columns(columns: Mapping[str, npt.NDArray[np.generic]]) -> str:
    """Of names and values, column by column, independent of how the machine lays numbers and texts in memory."""
    digest = sha256()
    for name, column in columns.items():
        digest.update(f"{name}\n{len(column)}\n".encode())
        if column.dtype.kind in "OUT":
            digest.update("\n".join(column.tolist()).encode())
        else:
            digest.update(column.astype("<f8").tobytes())
    return f"sha256:{digest.hexdigest()}"


def digest_of_files(paths: Sequence[Path]) -> str:
    """Of the names and contents of source files, in order."""
    digest = sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\n" + path.read_bytes())
    return f"sha256:{digest.hexdigest()}"
