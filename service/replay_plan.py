"""Can what was logged be asked again, and which column of the log is which feature and output? ● no I/O.

Law: an input is asked again as it was given or not at all; why not is one of the reasons below, and is counted.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from models.contract import Column, Contract, Kind, Privacy
from service.featurelog.columns import REQUEST_FIELDS, request_layout
from service.featurelog.record import Schema, SchemaColumn


class Reason(StrEnum):
    """Why rows are not replayed."""

    BY_DIGEST_ONLY = "by_digest_only"
    NO_ANSWER = "no_answer"
    NOT_LOGGED = "not_logged"
    NOT_AS_GIVEN = "not_as_given"
    OTHER_KIND = "other_kind"
    NOTHING_TO_COMPARE = "nothing_to_compare"
    WITHOUT_VALUE = "without_value"
    OUT_OF_RANGE = "out_of_range"
    ERASED = "erased"
    RUN_FAILED = "run_failed"


ABOUT: Mapping[Reason, str] = {
    Reason.BY_DIGEST_ONLY: "are plain tensors, known by digest only",
    Reason.NO_ANSWER: "were not answered: there is nothing to compare with",
    Reason.NOT_LOGGED: "lack a feature that the version takes",
    Reason.NOT_AS_GIVEN: "hold a feature hashed or bucketed, not as it was given",
    Reason.OTHER_KIND: "hold a feature of another kind than the version takes",
    Reason.NOTHING_TO_COMPARE: "have no output that the version has too",
    Reason.WITHOUT_VALUE: "are null where the version takes none",
    Reason.OUT_OF_RANGE: "hold a whole number that the version's tensor cannot",
    Reason.ERASED: "were erased from requests of which others are left",
    Reason.RUN_FAILED: "were refused by the runtime",
}


@dataclass(frozen=True, slots=True)
class Refused:
    """No row of a recorded version can be replayed."""

    reason: Reason
    column: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """`features`: columns of the log in the order of the version's features; `outputs`: (name, kind, column of the log) of the
    outputs that both have; the others by name.
    """

    features: tuple[str, ...]
    outputs: tuple[tuple[str, Kind, str], ...]
    only_recorded: tuple[str, ...]
    only_replayed: tuple[str, ...]


def plan(target: Contract, recorded: Contract, columns: Collection[str]) -> Plan | Refused:
    """How rows that `recorded` answered are asked of `target`; `columns`: those of the log."""
    if not target.tabular:
        return Refused(Reason.BY_DIGEST_ONLY)
    places = {key: name for key, name in names_in_log(recorded).items() if name in columns}
    known = {column.name: column for column in recorded.features}
    for feature in target.features:
        if (why := _refusal(feature, known.get(feature.name), ("feature", feature.name) in places)) is not None:
            return Refused(why, feature.name)
    answered = {c.name: c for c in recorded.output_columns if ("output", c.name) in places}
    given = {column.name: column for column in target.output_columns}
    shared = [
        (name, _common(column.kind, answered[name].kind), places["output", name])
        for name, column in given.items()
        if name in answered
    ]
    outputs = tuple((name, kind, place) for name, kind, place in shared if kind is not None)
    compared = {name for name, _, _ in outputs}
    if not outputs:
        return Refused(Reason.NOTHING_TO_COMPARE)
    return Plan(
        tuple(places["feature", feature.name] for feature in target.features),
        outputs,
        tuple(name for name in answered if name not in compared),
        tuple(name for name in given if name not in compared),
    )


def readable(contract: Contract, columns: Collection[str]) -> dict[str, str]:
    """Feature → column of the log, in the order of the contract, of those that the log holds as they were given."""
    places = names_in_log(contract)
    kept = [column.name for column in contract.features if column.privacy is Privacy.KEEP]
    return {name: places["feature", name] for name in kept if places["feature", name] in columns}


def names_in_log(contract: Contract) -> dict[tuple[str, str], str]:
    """("feature" or "output", name) → column of the log, where the contract's columns are laid out as the archive does."""
    features = [column for column in contract.features if column.privacy is not Privacy.DROP]
    kept = tuple(SchemaColumn(column.name, column.kind, None) for column in features)
    answers = tuple(SchemaColumn(column.name, column.kind, None) for column in contract.output_columns)
    layout = request_layout(Schema(0, "", "", "", kept, answers)).names[len(REQUEST_FIELDS) :]
    keys = [*(("feature", column.name) for column in kept), *(("output", column.name) for column in answers)]
    return dict(zip(keys, layout, strict=True))


def _refusal(wanted: Column, known: Column | None, logged: bool) -> Reason | None:
    if known is None or known.privacy is Privacy.DROP or not logged:
        return Reason.NOT_LOGGED
    if known.privacy is not Privacy.KEEP:
        return Reason.NOT_AS_GIVEN
    fits = wanted.kind is known.kind or (wanted.kind is Kind.FLOAT and known.kind is Kind.INT)
    return None if fits else Reason.OTHER_KIND


def _common(one: Kind, other: Kind) -> Kind | None:
    """As what two outputs of a name are compared."""
    if one is other:
        return one
    return Kind.FLOAT if {one, other} == {Kind.FLOAT, Kind.INT} else None
