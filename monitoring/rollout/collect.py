"""Which minutes does the log show of a rollout? Records in, closed minutes out.

Laws
- A minute is closed when the watermark (newest event time seen at a settled chunk, less `lateness_s`) has passed its end;
  minutes come out once, in order. What comes later is counted in `late` and is no evidence.
- Neither the borders of chunks nor the order of writers show in a minute.
- Both arms' answers are put into the bins of the stable version's training; a canary whose outputs are declared otherwise
  (other names, kinds or categories) has none, and the guard of predictions then says that it has nothing to compare.
- Memory: as many minutes as are open, two vectors each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.baseline import ColumnBaseline
from models.contract import Kind
from monitoring.reference import Reference
from monitoring.rollout.evidence import Counts, Cuts, Minute, Part
from monitoring.rollout.labels import Answer, Labels, witness
from monitoring.sketch import sketch
from monitoring.tally import count_blocks
from monitoring.window import MINUTE_US
from service.featurelog.chunk import Chunk, Run
from service.featurelog.record import Block, Feedback, Outcome, Request, Schema, SchemaColumn

ARM_CANARY, ARM_STABLE = "canary", "stable"
BUCKETS = 10_000  # of the routing; the share in effect lies between the canary's highest and stable's lowest

_PART_OF = {Outcome.FAILED: Part.FAILED, Outcome.SHED: Part.FAILED, Outcome.REJECTED: Part.REJECTED}


@dataclass(slots=True)
class _Arm:
    """One arm's open minute."""

    heads: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(int(Part.LATENCY), dtype=np.int64))
    digests: set[str] = field(default_factory=set)
    took_us: list[int] = field(default_factory=list)
    rows: dict[str, list[Block]] = field(default_factory=dict)  # by the digest of the version that said them


@dataclass(slots=True)
class _Open:
    canary: _Arm = field(default_factory=_Arm)
    even: _Arm = field(default_factory=_Arm)
    odd: _Arm = field(default_factory=_Arm)  # stable, by bucket
    answers: list[Answer] = field(default_factory=list)
    labels: list[Feedback] = field(default_factory=list)
    low_bp: int = 0
    high_bp: int = BUCKETS

    @property
    def arms(self) -> tuple[_Arm, _Arm, _Arm]:
        """In the order of `labels.ARMS`."""
        return self.canary, self.even, self.odd

    @property
    def asked(self) -> bool:
        """Was there a request? Labels alone are no minute of a rollout."""
        return any(arm.digests for arm in self.arms)


@dataclass(slots=True)
class Collector:
    """The minutes of one model's rollout of `version`, from `from_minute` on; owned and changed by who reads the log."""

    model: str
    version: str
    lateness_s: int
    from_minute: int = 0
    columns: tuple[ColumnBaseline, ...] | None = None  # stable's outputs, from its first closed minute on
    late: int = 0
    labels: Labels | None = None  # where the document asks for them
    _schemas: dict[str, Schema] = field(default_factory=dict)
    _open: dict[int, _Open] = field(default_factory=dict)
    _closed: int = -1
    _newest_us: int = 0

    @property
    def cuts(self) -> Cuts:
        return Cuts.of(self.columns or ())

    def take(self, chunk: Chunk, *, settled: bool, references: Mapping[str, Reference]) -> list[Minute]:
        """The minutes that this chunk closes; `settled`: it leaves no writer behind another."""
        for run in chunk.runs:
            self._take_run(run)
        if not settled:
            return []
        return self._close((self._newest_us - self.lateness_s * 1_000_000) // MINUTE_US - 1, references)

    def _take_run(self, run: Run) -> None:
        schemas = {schema.id: schema for schema in run.schemas.values() if schema.model == self.model}
        for _, record in run.records:
            self._newest_us = max(self._newest_us, record.at_us)
            if isinstance(record, Feedback):
                self._take_label(record)
            if not isinstance(record, Request) or (schema := schemas.get(record.schema)) is None:
                continue
            if (schema.version == self.version) != (record.arm == ARM_CANARY):
                continue
            if record.arm == ARM_CANARY or record.arm == ARM_STABLE:
                self._take_request(record, schema)

    def _minute(self, at_us: int) -> _Open | None:
        """The open minute of this time; None where it is closed, or before the first."""
        number = at_us // MINUTE_US
        if number <= self._closed:
            self.late += 1
        if number <= self._closed or number < self.from_minute:
            return None
        return self._open.setdefault(number, _Open())

    def _take_label(self, label: Feedback) -> None:
        if self.labels is not None and (minute := self._minute(label.at_us)) is not None:
            minute.labels.append(label)

    def _take_request(self, request: Request, schema: Schema) -> None:
        minute = self._minute(request.at_us)
        if minute is None:
            return
        if request.arm == ARM_CANARY:
            arm, minute.low_bp = minute.canary, max(minute.low_bp, request.bucket + 1)
        else:
            arm = minute.odd if request.bucket % 2 else minute.even
            minute.high_bp = min(minute.high_bp, request.bucket)
        arm.heads[Part.REQUESTS] += 1
        arm.digests.add(schema.digest)
        if (part := _PART_OF.get(request.outcome)) is not None:
            arm.heads[part] += 1
            return
        arm.took_us.append(request.total_us)
        if request.outputs is not None and request.outputs.n:
            self._schemas[schema.digest] = schema
            arm.rows.setdefault(schema.digest, []).append(_one_row(request.outputs, request.request_id, schema))
            if self.labels is not None:
                place = next(place for place, one in enumerate(minute.arms) if one is arm)
                if (answer := self.labels.answer(request, schema.outputs, place)) is not None:
                    minute.answers.append(answer)

    def _close(self, until: int, references: Mapping[str, Reference]) -> list[Minute]:
        closed = []
        for number in sorted(number for number in self._open if number <= until):
            minute = self._open.pop(number)
            if self.labels is not None:
                self._label(self.labels, minute)
            if not minute.asked:
                continue
            if self.columns is None and (
                known := sorted((minute.even.digests | minute.odd.digests) & references.keys())
            ):
                reference = references[known[0]]  # the least digest: whose record came first must not show
                self.columns = reference.columns[reference.features :]
            canary, even, odd = (self._vector(arm) for arm in (minute.canary, minute.even, minute.odd))
            closed.append(Minute(number, canary, even + odd, odd, minute.low_bp, minute.high_bp))
        self._closed = max(self._closed, until)
        return closed

    def _label(self, labels: Labels, minute: _Open) -> None:
        labels.close(minute.answers, minute.labels)
        both = minute.canary.digests and (minute.even.digests or minute.odd.digests)
        if both and minute.low_bp <= minute.high_bp:
            for arm, pair in zip(minute.arms, labels.take(), strict=True):
                arm.heads[[Part.LABELLED, Part.WRONG]] += pair

    def _vector(self, arm: _Arm) -> Counts:
        reference = Reference.laid_out((), self.columns or ())
        counts = np.zeros(reference.size, dtype=np.int64)
        for digest, rows in arm.rows.items():
            if _declared(self._schemas[digest].outputs) == _declared(reference.columns):
                count_blocks(rows, reference, range(len(reference.columns)), counts)
        latency = sketch(np.array(arm.took_us, dtype=np.int64))
        return np.concatenate([arm.heads, latency, counts[: int(reference.starts[-1])]])


def _declared(columns: Sequence[SchemaColumn | ColumnBaseline]) -> list[tuple[str, Kind, tuple[str, ...] | None]]:
    return [(column.name, column.kind, column.categories) for column in columns]


def _one_row(block: Block, request_id: str, schema: Schema) -> Block:
    """One row of the request, the same whenever it is read."""
    k = len(schema.outputs)
    row, width = witness(request_id, block.n), len(block.cells) // block.n
    nulls = None if block.nulls is None else block.nulls[row * k : (row + 1) * k]
    return Block(1, block.cells[row * width : (row + 1) * width], nulls)
