"""What stands in a version's own files of the features that it keeps back.

Laws
- Of a dropped feature nothing that was learnt from data stays; of a hashed number nothing but how often it was there.
- A bucketed number declares the edges of its baseline, so that a server needs no baseline to write it.
- Of hashed or bucketed free text neither values nor counts by value stay, but how often it was there: the log tells no more.
"""

from collections.abc import Mapping

import msgspec

from models.baseline import SPECIALS, Baseline, ColumnBaseline, Special
from models.contract import Column, Contract, Kind, Privacy
from models.errors import ContractInvalid


def kept_back(
    contract: Contract, baseline: Baseline | None, privacy: Mapping[str, Privacy]
) -> tuple[Contract, Baseline | None]:
    """Contract and baseline with these features private. Raises ContractInvalid: an unknown name, or a number without bins."""
    names = [column.name for column in contract.features]
    if odd := sorted(privacy.keys() - set(names)):
        raise ContractInvalid("--privacy", f"no feature {odd[0]!r}", f"one of {', '.join(names) or 'none'}")
    known = {column.name: column for column in baseline.features} if baseline is not None else {}
    features = tuple(
        _column(column, privacy.get(column.name, column.privacy), known.get(column.name))
        for column in contract.features
    )
    if baseline is not None:
        references = tuple(_reference(column, known[column.name]) for column in features)
        baseline = msgspec.structs.replace(baseline, features=references)
    return msgspec.structs.replace(contract, features=features), baseline


def _column(column: Column, privacy: Privacy, reference: ColumnBaseline | None) -> Column:
    private = msgspec.structs.replace
    match privacy:
        case Privacy.KEEP:
            return column
        case Privacy.DROP:
            return private(column, privacy=privacy, low=None, high=None, categories=None)
        case Privacy.HASH:
            return private(column, privacy=privacy, low=None, high=None)
        case Privacy.BUCKET if column.kind is Kind.STRING:
            return private(column, privacy=privacy)
        case Privacy.BUCKET:
            if reference is None or not reference.edges:
                found = "no training data" if reference is None else "one value only"
                raise ContractInvalid(f"--privacy {column.name}=bucket", found, "data with bins, or drop or hash")
            return private(column, privacy=privacy, edges=reference.edges)


def _reference(column: Column, reference: ColumnBaseline) -> ColumnBaseline:
    if column.privacy is Privacy.DROP or (column.privacy is Privacy.HASH and column.kind is not Kind.STRING):
        nulls = reference.counts[Special.NULL] if column.privacy is Privacy.HASH else 0
        there = reference.n - nulls if column.privacy is Privacy.HASH else 0
        counts = [0] * SPECIALS if column.kind is Kind.STRING else [0] * SPECIALS + [there]
        counts[Special.NULL] = nulls
        return ColumnBaseline(name=column.name, kind=column.kind, counts=tuple(counts))
    return without_values(reference) if column.privacy is not Privacy.KEEP else reference


def without_values(reference: ColumnBaseline) -> ColumnBaseline:
    """Free text of which only is known whether it was there; any other reference as it is."""
    if not reference.buckets:
        return reference
    counts = [0] * SPECIALS
    counts[Special.NULL] = reference.counts[Special.NULL]
    counts[Special.UNSEEN] = reference.n - counts[Special.NULL]
    return ColumnBaseline(name=reference.name, kind=reference.kind, counts=tuple(counts))
