"""The comparison is fair: the same runtime under every system, the same rows to each, every answer read."""

import json
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from loadtests.bench.models import FEATURES, tabular_rows
from loadtests.bench.scenarios import SCENARIOS, Cell, Scenario
from loadtests.bench.systems import Form, System
from loadtests.bench.wires import HEADER_LENGTH, Reply, Request, v2_binary_outputs
from tests.processes import ROOT

SHARED = ("bentoml", "onnxruntime", "numpy", "uvicorn", "uvloop", "httptools")
LOCKED = set((ROOT / "requirements.lock").read_text().split())
CELLS = [(scenario, cell) for scenario in SCENARIOS for cell in scenario.cells]
SYSTEMS = {cell.system.name: cell.system for _, cell in CELLS}
TABULAR = [(scenario, cell) for scenario, cell in CELLS if scenario.model != "payments" and cell.system.ways]


def cells_in(request: Request, form: Form) -> Iterator[float]:
    """The numbers of a request, in order, however they are said."""
    if form is Form.V2_BINARY:
        yield from np.frombuffer(request.body[int(request.headers[HEADER_LENGTH]) :], "<f4").tolist()
        return
    document = json.loads(request.body)
    if "inputs" in document:
        yield from document["inputs"][0]["data"]
        return
    (rows,) = document.values()
    for row in rows if isinstance(rows, list) else [rows]:
        yield from row.values() if isinstance(row, dict) else row


@pytest.mark.parametrize(("scenario", "cell"), TABULAR, ids=lambda value: value.name)
def test_every_system_is_sent_the_same_rows(scenario: Scenario, cell: Cell) -> None:
    rows = tabular_rows(scenario.rows)
    sent = list(cells_in(cell.system.ways[cell.form].ask(rows), cell.form))
    assert len(sent) == scenario.rows * len(FEATURES)
    assert sent == pytest.approx([value for row in rows for value in row.values()])


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=lambda system: system.name)
def test_a_system_of_its_own_environment_runs_on_the_versions_of_our_lock(system: System) -> None:
    for pin in system.requirements:
        name = pin.split("==")[0]
        assert "==" in pin
        assert name not in SHARED or pin in LOCKED, f"{pin}: not what requirements.lock has"


def test_names_of_scenarios_and_of_their_cells_are_distinct() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    for scenario in SCENARIOS:
        assert len({cell.name for cell in scenario.cells}) == len(scenario.cells)
    systems = [cell.system for _, cell in CELLS]
    assert all(system is SYSTEMS[system.name] for system in systems), "two systems of one name would share a site"


def test_a_subject_is_ours_and_every_server_can_be_asked_in_its_form() -> None:
    for scenario, cell in CELLS:
        assert scenario.subject.startswith("plumbline")
        assert not cell.system.ready or cell.form in cell.system.ways, f"{scenario.name}: {cell.name}"


def test_a_binary_answer_is_read_by_its_header() -> None:
    head = msgspec.json.encode({"outputs": [{"name": "probabilities", "shape": [2, 2], "datatype": "FP32"}]})
    data = np.array([0.25, 0.75, 0.5, 0.5], "<f4").tobytes()
    assert v2_binary_outputs(Reply(head + data, {HEADER_LENGTH: str(len(head))})) == [[0.25, 0.75], [0.5, 0.5]]
