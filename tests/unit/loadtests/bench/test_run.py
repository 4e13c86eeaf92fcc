"""A run: a system that fails ends nobody else's measurement, a wrong answer is not measured, nothing that was started stays."""

import sys
from pathlib import Path

import psutil
import pytest

from loadtests.bench import check, server, wrk
from loadtests.bench.peers import bare, ours
from loadtests.bench.run import Bench, Measured, chosen
from loadtests.bench.scenarios import SCENARIOS, Cell, Scenario
from loadtests.bench.site import LOAD_CORES, ROOT, SYSTEM_CORES
from loadtests.bench.systems import Form, System, Way
from loadtests.bench.wires import Request, named, predictions
from tests.processes import wait_until

WAYS = {Form.NAMED: Way("/", named("instances"), predictions)}
STUB = """
import http.server, sys
class Stub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200); self.end_headers(); self.wfile.write(sys.argv[2].encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Stub).serve_forever()
"""
LEAVES_A_CHILD = (
    """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
open(sys.argv[2], "w").write(str(child.pid))
"""
    + STUB
)


def system(name: str, code: str, *words: str) -> System:
    return System(name=name, note="a stub", argv=("{python}", code, "{port}", *words), ways=WAYS)


def run_beside_onnxruntime(tmp_path: Path, *systems: System) -> Measured:
    cells = (*(Cell(one) for one in systems), Cell(bare.ALONE, Form.TENSORS))
    scenario = Scenario(name="test", title="test", model="payments", cells=cells)
    return Bench(tmp_path / "cache", tmp_path / "work").measured(scenario, rounds=2, seconds=1)


@pytest.fixture
def stub(tmp_path: Path) -> str:
    """A file that answers every question with its second word."""
    file = tmp_path / "stub.py"
    file.write_text(STUB)
    return str(file)


@pytest.mark.integration
def test_a_system_that_fails_is_told_with_its_last_words_and_left_out(tmp_path: Path) -> None:
    broken, starts = tmp_path / "broken.py", tmp_path / "starts"
    broken.write_text(f"open({str(starts)!r}, 'a').write('x'); raise SystemExit('no such model')")
    found = run_beside_onnxruntime(tmp_path, system("broken", str(broken)))
    assert "found exit code 1" in found.failed["broken"]
    assert "no such model" in found.failed["broken"]
    assert starts.read_text() == "x", "it was started again after it had failed"
    assert [list(each) for each in found.rounds] == [["onnxruntime alone"]] * 2
    assert len(found.calibration) == 3


@pytest.mark.integration
def test_a_wrong_answer_is_not_measured(tmp_path: Path, stub: str) -> None:
    wrong = system("wrong", stub, '{{"predictions":[[0.5,0.5]]}}')
    other = system("other", stub, "[]")
    found = run_beside_onnxruntime(tmp_path, wrong, other)
    assert "as ONNX Runtime alone" in found.failed["wrong"]
    assert "expected probabilities" in found.failed["other"]
    assert all(set(each) == {"onnxruntime alone"} for each in found.rounds)


@pytest.mark.integration
def test_what_a_system_started_ends_with_it_also_outside_its_group(tmp_path: Path) -> None:
    file, pid_file, port = tmp_path / "leaves.py", tmp_path / "pid", str(server.free_port())
    file.write_text(LEAVES_A_CHILD)
    argv = [sys.executable, str(file), port, str(pid_file)]
    with server.running(
        "leaves", argv, ready_url=f"http://127.0.0.1:{port}/", environment={}, output=tmp_path / "output"
    ):
        child = psutil.Process(int(pid_file.read_text()))
        assert child.is_running()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10, "the child has ended")


def test_words_choose_systems_and_the_subject_stays() -> None:
    kept = chosen(SCENARIOS[:1], ["fastapi", "Bare"])
    names = [cell.name for cell in kept[0].cells]
    assert names[0] == SCENARIOS[0].subject
    assert set(names[1:]) == {
        "fastapi sync",
        "fastapi async",
        "bare uvicorn + onnxruntime",
        "bare uvicorn, empty answer",
    }
    assert chosen(SCENARIOS, []) == list(SCENARIOS)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("asked", "logged"), [(ours.OURS, True), (ours.UNLOGGED, False)], ids=lambda value: str(value)[:20]
)
def test_only_the_log_is_off_where_the_log_is_off(tmp_path: Path, asked: System, logged: bool) -> None:
    site = Bench(tmp_path / "cache", tmp_path / "work").site(asked, "payments")
    way, rows = asked.ways[Form.NAMED], site.model.rows(1)
    expected, _ = check.alone(site.model, 1, cores=SYSTEM_CORES, seconds=0, folder=site.folder)
    request = Request(way.ask(rows).body, {"content-type": "application/json", "x-request-id": "asked-once"})
    with site.started(SYSTEM_CORES) as started:
        url = started.url + way.path.format(name="payments")
        target = wrk.Target(url=url, request=request, rows=1, connections=1, cores=LOAD_CORES, folder=site.folder)
        check.answers(asked.name, target, way.read, expected)
        export = ["-m", "plumbline", "log", "export", "--home", str(site.folder / "home"), "--format", "jsonl"]
        records = server.finish("log", [sys.executable, *export], {"PYTHONPATH": str(ROOT)})
    assert ("asked-once" in records) is logged
