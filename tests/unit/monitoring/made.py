"""What do the monitor's tests fold: a small model, its baseline, requests of it, and logs on disk written frame by frame."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.baseline import Baseline, ColumnBaseline, column_of_codes, column_of_numbers
from models.contract import Column, Contract, Kind, Tensor
from models.registry import Registry
from monitoring.reference import Reference
from service.featurelog.chunk import Chunk, Run
from service.featurelog.framing import frame
from service.featurelog.record import (
    Block,
    Head,
    Ledger,
    Outcome,
    Payload,
    Problem,
    Record,
    Request,
    Schema,
    SchemaColumn,
    Seal,
    encode,
)
from service.featurelog.segments import segment_name

MINUTE_US = 60_000_000
START_MINUTE = 29_000_000  # 2025-02-19T21:20:00Z
START_US = START_MINUTE * MINUTE_US
CITIES = ("berlin", "lisbon", "oslo", "riga")

Cells = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """A model version as its log and its registry entry show it: float features f0…, one string feature, one output."""

    schema: Schema
    baseline: Baseline
    contract: Contract

    @property
    def reference(self) -> Reference:
        return Reference.of(self.schema, self.baseline)

    @property
    def floats(self) -> int:
        return len(self.schema.features) - 1

    def references(self) -> dict[str, Reference]:
        return {self.schema.digest: self.reference}


def model(
    *,
    floats: int = 3,
    rows: int = 10_000,
    seed: int = 1,
    name: str = "payments",
    version: str = "1",
    digest: str | None = None,
    output: str = "score",
) -> Model:
    """Standard normal features, four cities, a score; the baseline is `rows` rows of the same."""
    rng = np.random.default_rng(seed)
    columns = [Column(name=f"f{j}", kind=Kind.FLOAT) for j in range(floats)]
    city = Column(name="city", kind=Kind.STRING, categories=CITIES, nullable=True)
    score = Column(name=output, kind=Kind.FLOAT)
    nothing = np.zeros(rows, dtype=np.bool_)
    features: list[ColumnBaseline] = [column_of_numbers(column, rng.normal(size=rows), nothing) for column in columns]
    features.append(column_of_codes(city, rng.integers(0, len(CITIES), rows), nothing))
    outputs = (column_of_numbers(score, rng.uniform(size=rows), nothing),)
    contract = Contract(
        features=(*columns, city),
        inputs=(
            Tensor(name="x", datatype="FP32", shape=(-1, floats), columns=tuple(c.name for c in columns)),
            Tensor(name="city", datatype="BYTES", shape=(-1, 1), columns=("city",)),
        ),
        outputs=(Tensor(name="score", datatype="FP32", shape=(-1, 1), columns=(output,)),),
        output_columns=(score,),
    )
    schema = Schema(
        id=0,
        model=name,
        version=version,
        digest=digest or "sha256:" + "a" * 64,
        features=tuple(SchemaColumn(c.name, c.kind, c.categories) for c in contract.features),
        outputs=(SchemaColumn(output, Kind.FLOAT),),
    )
    return Model(schema, Baseline(rows=rows, features=tuple(features), outputs=outputs), contract)


def installed(made: Model, home: Path) -> Model:
    """The model with its artefact in the registry of a home, under the digest that its bytes have."""
    digest = Registry(home / "registry").install(
        {"model.onnx": b"not a graph", "contract.json": made.contract.encode(), "baseline.json": made.baseline.encode()}
    )
    schema = Schema(0, made.schema.model, made.schema.version, digest, made.schema.features, made.schema.outputs)
    return Model(schema, made.baseline, made.contract)


@dataclass(frozen=True)
class Rows:
    """Rows of a model: `floats` shape (n, k), `cities` codes shape (n,), `scores` shape (n,)."""

    floats: Cells
    cities: npt.NDArray[np.int64]
    scores: Cells

    def __len__(self) -> int:
        return len(self.scores)

    def part(self, start: int, end: int) -> "Rows":
        return Rows(self.floats[start:end], self.cities[start:end], self.scores[start:end])


def rows(n: int, rng: np.random.Generator, floats: int = 3) -> Rows:
    """Rows as they were at training."""
    return Rows(rng.normal(size=(n, floats)), rng.integers(0, len(CITIES), n), rng.uniform(size=n))


def request(
    at_us: int, data: Rows, *, request_id: str = "r", arm: str = "stable", total_us: int = 1500, schema: int = 0
) -> Request:
    """An answered request with these rows."""
    n = len(data)
    cells = np.concatenate([data.floats.view(np.int64), data.cities.reshape(n, 1)], axis=1).astype("<i8")
    return Request(
        at_us=at_us,
        request_id=request_id,
        outcome=Outcome.ANSWERED,
        status=200,
        code="",
        protocol="v1",
        schema=schema,
        model="payments",
        arm=arm,
        bucket=-1,
        generation=1,
        rows=n,
        queue_us=10,
        compute_us=100,
        total_us=total_us,
        features=Block(n, cells.tobytes()),
        outputs=Block(n, data.scores.astype("<f8").tobytes()),
    )


def refused(
    at_us: int,
    outcome: Outcome = Outcome.REJECTED,
    problems: list[Problem] | None = None,
    rows: int = 1,
    schema: int = 0,
    arm: str = "stable",
) -> Request:
    """A request that was not answered."""
    return Request(
        at_us, "r", outcome, 400, "bad_input", "v1", schema, "payments", arm, -1, 1, rows, 0, 0, 200, problems=problems
    )


def heartbeat(at_us: int) -> Ledger:
    """A ledger of a writer that lives."""
    return Ledger(at_us, 0, {}, {}, {})


def chunk(*records: Record, made: Model, writer: str = "w0", epoch: int = 1, first_seq: int = 0) -> Chunk:
    """A chunk of one run."""
    numbered = [(first_seq + i, record) for i, record in enumerate(records)]
    return Chunk((Run(writer, epoch, numbered, {made.schema.id: made.schema}),), (), caught_up=True)


def traffic(
    rng: np.random.Generator,
    *,
    minutes: Iterable[int],
    rows_per_minute: int,
    floats: int = 3,
    scale: float = 1.0,
    rows_per_request: int = 1,
) -> list[Record]:
    """Requests spread over these minutes, ended by a heartbeat that closes the last one; `scale` multiplies f0."""
    found: list[Record] = []
    last = START_MINUTE
    for minute in minutes:
        data = rows(rows_per_minute, rng, floats)
        data.floats[:, 0] *= scale
        for start in range(0, rows_per_minute, rows_per_request):
            at_us = minute * MINUTE_US + start * (MINUTE_US // max(1, rows_per_minute))
            found.append(request(at_us, data.part(start, min(rows_per_minute, start + rows_per_request))))
        last = minute
    return [*found, heartbeat((last + 1) * MINUTE_US + 10_000_000)]


def segment(
    schema: Schema, records: Sequence[Record], *, writer: str, epoch: int, number: int, first_seq: int = 0
) -> bytes:
    """The bytes of a sealed segment: head, schema, records, seal."""
    head: list[Payload] = [Head(1, writer, epoch, number, records[0].at_us if records else 0), schema]
    data = [frame(encode(payload), first_seq) for payload in head]
    data.extend(frame(encode(record), first_seq + i) for i, record in enumerate(records))
    end = first_seq + len(records)
    data.append(frame(encode(Seal(len(records), end - 1)), end))
    return b"".join(data)


def write_log(
    home: Path,
    made: Model,
    records: Sequence[Record],
    *,
    writer: str = "w0",
    epoch: int = 1,
    number: int = 0,
    first_seq: int = 0,
) -> None:
    """Adds one segment to a writer's directory; it appears whole."""
    directory = home / "log" / writer
    directory.mkdir(parents=True, exist_ok=True)
    aside = directory / "writing"
    aside.write_bytes(segment(made.schema, records, writer=writer, epoch=epoch, number=number, first_seq=first_seq))
    aside.rename(directory / segment_name(epoch, number))
