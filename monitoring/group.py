"""Whose records are these: a chunk of the log, sorted by minute, version and arm.

Law: grouping looks at each record once and loses none: every record is in exactly one group or in one counter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from monitoring.marks import Ends, LogRange, widen
from monitoring.state import ARM_SHADOW, UNROUTED, Key, Version
from monitoring.window import MINUTE_US
from service.featurelog.chunk import Run
from service.featurelog.record import Feedback, Request, Schema, Shadow

NO_SCHEMA = -1  # FORMAT.md §5.3


@dataclass(slots=True)
class Minute:
    """The records of one minute."""

    requests: dict[Key, list[Request]] = field(default_factory=dict)
    shadows: dict[Key, list[Shadow]] = field(default_factory=dict)
    marks: LogRange = field(default_factory=dict)
    feedback: list[Feedback] = field(default_factory=list)


@dataclass(slots=True)
class Groups:
    """A chunk by minute; `schemas`: what the groups' versions were declared as, `shadowed`: has each run a shadow's record?"""

    minutes: dict[int, Minute] = field(default_factory=dict)
    schemas: dict[Version, Schema] = field(default_factory=dict)
    max_at_us: int = 0
    records: int = 0
    nameless: int = 0
    feedback: int = 0
    shadowed: list[bool] = field(default_factory=list)


def group(runs: Iterable[Run]) -> Groups:
    """Sorts the records of a chunk."""
    groups = Groups()
    for run in runs:
        shadows = _group_run(groups, run) if run.records else 0
        groups.shadowed.append(shadows > 0)
    return groups


def _group_run(groups: Groups, run: Run) -> int:
    """How many of them are a shadow's."""
    names = _names(groups, run)
    keys: dict[tuple[int, str], Key] = {}
    # Hot: one pass with local names, about 0.3 µs a record; a method call a record would double it. Records of one version, arm
    # and minute stand together, so that where one goes is mostly known from the one before.
    minutes = groups.minutes
    begin_us = end_us = shadows = 0
    schema, arm, held = NO_SCHEMA, "", list[Request]()
    for _, record in run.records:
        if not begin_us <= record.at_us < end_us:
            number = record.at_us // MINUTE_US
            begin_us, end_us = number * MINUTE_US, (number + 1) * MINUTE_US
            minute = minutes.get(number) or minutes.setdefault(number, Minute())
            known = False
        if isinstance(record, Request):
            if known and record.schema == schema and record.arm == arm:
                held.append(record)
                continue
            key = keys.get((record.schema, record.arm))
            if key is None:
                version = names.get(record.schema)
                if version is None:
                    groups.nameless += 1
                    continue
                key = keys[record.schema, record.arm] = Key(version, "" if version is UNROUTED else record.arm)
            schema, arm, known = record.schema, record.arm, True
            held = minute.requests.setdefault(key, [])
            held.append(record)
        elif isinstance(record, Shadow):
            shadows += 1
            if record.schema in names:
                minute.shadows.setdefault(Key(names[record.schema], ARM_SHADOW), []).append(record)
            else:
                groups.nameless += 1
        elif isinstance(record, Feedback):
            groups.feedback += 1
            minute.feedback.append(record)
    _measure(groups, run)
    return shadows


def _names(groups: Groups, run: Run) -> dict[int, Version]:
    names = {schema.id: Version(schema.model, schema.version, schema.digest) for schema in run.schemas.values()}
    for schema in run.schemas.values():
        groups.schemas[names[schema.id]] = schema
    return {**names, NO_SCHEMA: UNROUTED}


def _measure(groups: Groups, run: Run) -> None:
    """Marks and event time of a run, as arrays: seq rises within it."""
    at_us = np.array([record.at_us for _, record in run.records], dtype=np.int64)
    groups.records += len(run.records)
    groups.max_at_us = max(groups.max_at_us, int(at_us.max()))
    minutes = at_us // MINUTE_US
    for number in np.unique(minutes).tolist():
        inside = np.flatnonzero(minutes == number)
        ends: Ends = ((run.epoch, run.records[inside[0]][0]), (run.epoch, run.records[inside[-1]][0]))
        widen(groups.minutes[number].marks, {run.writer: ends})


def schemas_named(runs: Sequence[Run]) -> dict[str, Schema]:
    """The schemas of a chunk by digest: the versions that a reference is needed for."""
    return {schema.digest: schema for run in runs for schema in run.schemas.values()}
