"""Plumbline's monitor: records of the scenario's rows through the real fold, under the default rules.

A baseline is made of the reference as `plumbline models add` makes it of training data with a time column. The variant says how
many rows a record has: `minute`: all of a minute (as a batch client sends them), or a number. Making records is the
service's work and is not timed. A row that was rejected is a record of a rejected request. A look is a judged minute, and it
alarms when its judgement is a breach, a held one too; a page is an event. Run from the project's folder.
"""

# ruff: noqa: B023  the call is over before the loop goes on

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

import numpy as np
from msgspec.structs import replace
from scenario import Report, Scenario, given

from models.baseline import Baseline, ColumnBaseline, bin_codes, bin_numbers, column_of_codes, column_of_numbers
from models.contract import Column, Kind
from models.natural import blocks_from_shortest, tolerance
from monitoring.alert import Standing
from monitoring.fold import fold
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.state import Judged, State, Version
from service.featurelog.chunk import Chunk, Run
from service.featurelog.record import Block, Ledger, Outcome, Problem, Record, Request, Schema, SchemaColumn, SkewKind

MINUTE_US = 60_000_000
CHUNK_RECORDS = 5_000
ANSWERED = (Outcome.ANSWERED, 200, "")
REJECTED = (Outcome.REJECTED, 400, "invalid_input")


def referred(scenario: Scenario) -> tuple[Schema, Baseline]:
    """What the monitor knows of the version."""
    spans = blocks_from_shortest(scenario.reference_at_s)
    references, columns = [], []
    for place, about in enumerate(scenario.columns):
        values = scenario.reference[:, place]
        null = np.isnan(values)
        kind = Kind(about["kind"])
        categories = tuple(about["categories"]) if kind is Kind.STRING else None
        column = Column(name=about["name"], kind=kind, nullable=bool(null.any()), categories=categories)
        reference, index = _counted(column, values, null)
        natural = tuple((length_s, tolerance(index, block, np.asarray(reference.counts))) for length_s, block in spans)
        references.append(replace(reference, natural=natural))
        columns.append(SchemaColumn(column.name, kind, categories))
    schema = Schema(0, "bench", "1", "sha256:" + "b" * 64, tuple(columns), ())
    return schema, Baseline(rows=len(scenario.reference), features=tuple(references), outputs=())


def _counted(column: Column, values: np.ndarray, null: np.ndarray) -> tuple[ColumnBaseline, np.ndarray]:
    if column.kind is Kind.STRING:
        codes = np.where(null, 0, values).astype(np.int64)
        return column_of_codes(column, codes, null), bin_codes(codes, null)
    reference = column_of_numbers(column, np.where(null, 0.0, values), null)
    return reference, bin_numbers(reference, np.where(null, 0.0, values), null)


def records(scenario: Scenario, stream: slice, rows_per_record: int | None) -> Iterator[Record]:
    """In order, and a heartbeat that closes the last minute."""
    kinds = [Kind(about["kind"]) for about in scenario.columns]
    values, null = scenario.rows[stream], np.isnan(scenario.rows[stream])
    filled = np.where(null, 0.0, values)
    cells = np.where([kind is Kind.FLOAT for kind in kinds], filled.view(np.int64), filled.astype(np.int64)).astype(
        "<i8"
    )
    at_us, rejected = (scenario.at_s[stream] * 1e6).astype(np.int64), scenario.rejected[stream]
    borders = _borders(at_us, rejected, rows_per_record)
    for start, end in pairwise(borders):
        n = int(end - start)
        said = (
            f"r{stream.start + start}",
            *(REJECTED if rejected[start] else ANSWERED),
            "v1",
            0,
            "bench",
            "stable",
            1,
            1,
            n,
        )
        if rejected[start]:
            problems = [Problem(SkewKind.ABSENT, scenario.meta["missing"], n)]
            yield Request(int(at_us[start]), *said, 0, 0, 20, problems=problems)
            continue
        part, holes = cells[start:end], null[start:end]
        text = [(int(i), int(j), "gift_cards") for i, j in np.argwhere(part < 0) if kinds[j] is Kind.STRING]
        block = Block(n, part.tobytes(), holes.astype(np.uint8).tobytes() if holes.any() else None, text or None)
        yield Request(int(at_us[start]), *said, 0, 10, 20, block)
    yield Ledger((int(at_us[-1]) // MINUTE_US + 2) * MINUTE_US, 0, {}, {}, {})


def _borders(at_us: np.ndarray, rejected: np.ndarray, rows_per_record: int | None) -> list[int]:
    """Where records begin: a record is of one minute, and answered or rejected."""
    changes = np.flatnonzero((np.diff(at_us // MINUTE_US) != 0) | np.diff(rejected)) + 1
    begins = {0, *changes.tolist(), len(at_us)}
    if rows_per_record is not None:
        begins |= set(range(0, len(at_us), rows_per_record))
    return sorted(begins)


class Judgements(dict[Version, Judged]):
    """What the fold writes a judged minute: a call of it judges many, and only the last of them can be read afterwards."""

    breaches = 0

    def __setitem__(self, version: Version, judged: Judged) -> None:
        self.breaches += judged.judgement.standing is Standing.BREACH
        super().__setitem__(version, judged)


def main() -> None:
    scenario, variant = given()
    report, rules = Report(scenario), Rules()
    schema, baseline = referred(scenario)
    references = {schema.digest: Reference.of(schema, baseline)}
    rows_per_record = None if variant == "minute" else int(variant)
    for number, stream in scenario.streams():
        judged = Judgements()
        state, seq, held = State(judged=judged), 0, list[tuple[int, Record]]()
        last = stream.stop - stream.start
        source = records(scenario, stream, rows_per_record)
        while True:
            held = [(seq + place, record) for place, record in zip(range(CHUNK_RECORDS), source, strict=False)]
            seq += len(held)
            if not held:
                break
            chunk = Chunk((Run("w0", 1, held, {0: schema}),), (), True)
            for event in report.own(lambda: fold(state, chunk, settled=True, rules=rules, references=references)):
                told = json.loads(event.body)
                at_s = datetime.fromisoformat(told["time"]).timestamp() + rules.lateness_s
                seen = int(np.searchsorted(scenario.at_s[stream], at_s))
                what = f"{told['data']['feature']} {told['data']['check']}"
                report.alarm(number, stream, min(seen, last), what)
        report.looked(state.counters.evaluations, judged.breaches)
        report.over(stream)
    report.end()


if __name__ == "__main__":
    main()
