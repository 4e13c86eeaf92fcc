"""A request that works: one row of a pinned model, made from its contract and baseline."""

from pathlib import Path
from typing import Any

import msgspec

from models.baseline import SPECIALS, Baseline, ColumnBaseline
from models.contract import Column, Contract, Kind
from models.lock_file import LockFile
from models.manifest import BASELINE, CONTRACT
from models.registry import Registry


def example_body(home: Path) -> tuple[str, str] | None:
    """(model name, V1 body) for the first pinned model with named columns; None where there is none."""
    registry = Registry(home / "registry")
    for pin in LockFile(home / "models.lock.toml").read().pins:
        files = registry.read_files(pin.digest, pin.ref)
        contract = Contract.decode(files[CONTRACT])
        if contract.tabular:
            references = Baseline.decode(files[BASELINE]).features if BASELINE in files else ()
            body = msgspec.json.encode({"instances": [_row(contract, references)]}).decode()
            return pin.name, body.replace("'", "\\u0027")  # it stands between quotes in a shell
    return None


def _row(contract: Contract, references: tuple[ColumnBaseline, ...]) -> dict[str, Any]:
    by_name = {reference.name: reference for reference in references}
    return {column.name: _usual(column, by_name.get(column.name)) for column in contract.features}


def _usual(column: Column, reference: ColumnBaseline | None) -> Any:
    """The mean of a number, the most frequent category of a string."""
    match column.kind:
        case Kind.STRING:
            if not column.categories:
                return ""
            counts = reference.counts[SPECIALS:] if reference else (1,)
            return column.categories[counts.index(max(counts))]
        case Kind.BOOL:
            return False
        case Kind.INT:
            return round(reference.mean or 0) if reference else 0
        case Kind.FLOAT:
            return float(f"{(reference.mean or 0):.4g}") if reference else 0.0
