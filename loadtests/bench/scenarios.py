"""Which questions does `make bench` ask, of whom, and with which load? One entry a scenario; the systems are in `peers/`."""

from dataclasses import dataclass

from loadtests.bench.peers import bare, bentoml, fastapi, litserve, mlserver, ours, ray_serve
from loadtests.bench.systems import Form, System


@dataclass(frozen=True, slots=True)
class Closed:
    """Every connection sends its next request when it has its answer (wrk): finds capacity."""

    connections: int = 16


@dataclass(frozen=True, slots=True)
class Open:
    """Poisson arrivals at `times` the capacity that a closed loop has just found; they wait for nobody's answer.

    `deadline_ms`: what is answered later is not goodput.
    """

    times: float
    connections: int = 16
    deadline_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One system asked in one form; `label` names it where a scenario has it twice."""

    system: System
    form: Form = Form.NAMED
    label: str = ""

    @property
    def name(self) -> str:
        return self.label or self.system.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The first cell is the subject: the others are compared with it. `apart` False: system and load share all cores."""

    name: str
    title: str
    cells: tuple[Cell, ...]
    model: str = "gbdt"
    rows: int = 1
    load: Closed | Open = Closed()
    apart: bool = True

    @property
    def subject(self) -> str:
        return self.cells[0].name


def _rows(n: int, *more: Cell) -> Scenario:
    return Scenario(
        name=f"rows_{n}",
        title=f"{n:,} rows a request",
        rows=n,
        load=Closed(4),  # enough to keep the core busy; more would only wait
        cells=(
            Cell(ours.OURS, Form.V2_BINARY, "plumbline, V2 binary"),
            Cell(ours.OURS, Form.V2, "plumbline, V2 JSON"),
            *more,
            Cell(mlserver.MLSERVER, Form.V2),
            Cell(bare.ALONE, Form.TENSORS),
        ),
    )


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="one_row",
        title="One row a request, JSON by feature name (V1)",
        cells=(
            Cell(ours.OURS),
            Cell(bentoml.SYNC),
            Cell(bentoml.ASYNC),
            Cell(bentoml.BATCHABLE),
            Cell(bentoml.ASYNC_UVLOOP),
            Cell(mlserver.MLSERVER),
            Cell(litserve.LITSERVE),
            Cell(ray_serve.RAY_SERVE),
            Cell(fastapi.SYNC),
            Cell(fastapi.ASYNC),
            Cell(bare.UVICORN_ORT),
            Cell(bare.EMPTY),
        ),
    ),
    Scenario(
        name="one_row_list",
        title="One row a request, JSON as a list (V1)",
        cells=(
            Cell(ours.OURS, Form.LISTED),
            Cell(fastapi.ASYNC, Form.LISTED),
            Cell(bare.UVICORN_ORT, Form.LISTED),
        ),
    ),
    Scenario(
        name="one_row_v2",
        title="One row a request, V2: JSON and binary",
        cells=(
            Cell(ours.OURS, Form.V2, "plumbline, V2 JSON"),
            Cell(ours.OURS, Form.V2_BINARY, "plumbline, V2 binary"),
            Cell(mlserver.MLSERVER, Form.V2),
        ),
    ),
    _rows(32),
    _rows(1024, Cell(ours.OURS, Form.LISTED, "plumbline, V1 JSON lists"), Cell(fastapi.ASYNC, Form.LISTED)),
    Scenario(
        name="mixed_types",
        title="One row of mixed types and strings (payments), JSON by feature name",
        model="payments",
        cells=(Cell(ours.OURS), Cell(bentoml.PAYMENTS), Cell(fastapi.PAYMENTS), Cell(bare.PAYMENTS)),
    ),
    Scenario(
        name="slow_model",
        title="A model of about 10 ms, where joining requests pays",
        model="wide",
        cells=(
            Cell(ours.OURS),
            Cell(ours.UNBATCHED),
            Cell(bentoml.BATCHABLE),
            Cell(litserve.BATCHING),
            Cell(mlserver.BATCHING),
        ),
    ),
    Scenario(
        name="poisson",
        title="Poisson arrivals at 70 % of each one's own capacity",
        load=Open(0.7),
        cells=(Cell(ours.OURS), Cell(fastapi.ASYNC), Cell(bare.UVICORN_ORT)),
    ),
    Scenario(
        name="overload",
        title=f"Twice the capacity, 32 cheap rows a request, {ours.DEADLINE_MS} ms to answer",
        rows=32,  # of one row a request the driver, at 25 000/s, cannot send twice what is served
        load=Open(2.0, deadline_ms=ours.DEADLINE_MS),
        cells=(Cell(ours.HURRIED, Form.LISTED), Cell(fastapi.ASYNC, Form.LISTED)),
    ),
    Scenario(
        name="overload_slow",
        title=f"Twice the capacity, the 10 ms model, {ours.DEADLINE_MS} ms to answer",
        model="wide",
        load=Open(
            2.0, connections=64, deadline_ms=ours.DEADLINE_MS
        ),  # with 16, capacity would be that of small batches
        cells=(Cell(ours.HURRIED), Cell(bentoml.BATCHABLE)),
    ),
    Scenario(
        name="workers",
        title="One and two workers, system and load on the same two cores",
        apart=False,
        load=Closed(32),
        cells=(Cell(ours.TWO_WORKERS), Cell(ours.OURS)),
    ),
    Scenario(
        name="extras",
        title="What the feature log, its durability and a shadow cost",
        cells=(
            Cell(ours.OURS),
            Cell(ours.UNLOGGED),
            Cell(ours.RELAXED),
            Cell(ours.ON_DISK),
            Cell(ours.SHADOWED),
        ),
    ),
)
