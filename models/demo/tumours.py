"""What do tumour measurements look like? All 569 rows of the Wisconsin breast-cancer data, kept beside this file.

Law: traffic drawn from these rows has the distribution of the baseline, which counts exactly these rows.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from models.demo.simulator import Row

TUMOURS_JSON = Path(__file__).with_name("tumours.json")


class _File(msgspec.Struct, frozen=True):
    """A row is its features, then the label (1: benign)."""

    source: str
    features: tuple[str, ...]
    label: str
    rows: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Tumours:
    """`cells`: (n, 30) in the order of `features`; `benign`: (n,)."""

    features: tuple[str, ...]
    label: str
    cells: npt.NDArray[np.float64]
    benign: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.cells)


def tumours() -> Tumours:
    """All rows, in the order of the data set."""
    content = msgspec.json.decode(TUMOURS_JSON.read_bytes(), type=_File)
    table = np.array(content.rows, dtype=np.float64)
    return Tumours(content.features, content.label, table[:, :-1], table[:, -1] > 0)


def sample(rng: np.random.Generator, known: Tumours, n: int) -> Tumours:
    """n rows drawn with replacement."""
    index = rng.integers(len(known), size=n)
    return Tumours(known.features, known.label, known.cells[index], known.benign[index])


def rows(known: Tumours) -> list[Row]:
    """The tumours as JSON-ready rows by feature name."""
    return [dict(zip(known.features, cells, strict=True)) for cells in known.cells.tolist()]
