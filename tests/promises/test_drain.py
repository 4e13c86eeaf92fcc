"""A service that is stopped or restarted loses no request: it says so first, answers on, finishes, and seals its log."""

import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from models.lock_file import LockFile
from models.registry import Registry
from service.featurelog.ledger import audit
from service.featurelog.record import Outcome
from service.presence import worker_signs
from tests.load import Load
from tests.onnx_models import install, turning, turning_contract
from tests.processes import Process, answers, environment, free_port, home, plumbline, served, wait_until
from tests.requests import payments_body
from tests.unit.service.serving import route
from tests.workers import answered_ids, requests_in, running, unsealed, workers_of

CLIENTS = 6
RESTARTS = 3
SOON_S = 120.0  # a start takes about 3 s on a quiet machine, a minute on one with ten times too much to do
LONG_S = 600.0  # longer than any test: what is said to end before it does not end because of it
SECONDS_OF_TURNS = 3.0
STUCK_TURNS = 10**9  # hours

pytestmark = pytest.mark.integration


def _reload(place: Path) -> subprocess.CompletedProcess[str]:
    command = plumbline("reload", "--home", place)
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=240)


def _predict(url: str, model: str = "payments", body: bytes | None = None) -> httpx.Response:
    content = payments_body() if body is None else body
    return httpx.post(f"{url}/v1/models/{model}:predict", content=content, trust_env=False, timeout=LONG_S)


def _all_there(place: Path, service: Process, n: int) -> None:
    """Processes, and each has loaded its models."""
    wait_until(lambda: len(workers_of(service)) == n, SOON_S, f"{n} workers")
    wait_until(lambda: len(worker_signs(place / "workers")) == n, SOON_S, f"{n} workers that serve")


def _more(load: Load, n: int, what: str) -> None:
    enough = len(load.answered) + n
    wait_until(lambda: len(load.answered) >= enough, SOON_S, f"{n} more answers {what}")


def _nothing_was_lost(load: Load, place: Path) -> None:
    _every_answer_is_logged(load, place)
    _sealed_and_whole(place)


def _every_answer_is_logged(load: Load, place: Path) -> None:
    assert (load.broken, load.refused) == (0, 0)
    assert dict(load.statuses) == {200: len(load.answered)}
    logged = Counter(answered_ids(place / "log"))
    assert {request_id: logged[request_id] for request_id in load.answered if logged[request_id] != 1} == {}
    assert [request_id for request_id, n in logged.items() if n > 1] == []
    assert audit(place / "log").whole


def _sealed_and_whole(place: Path) -> None:
    assert audit(place / "log").whole
    assert unsealed(place / "log") == []


# --- rolling restarts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_rolling_restarts_under_load_fail_no_request(tmp_path: Path, workers: int) -> None:
    place = home(tmp_path)
    with served(place, workers=workers, PLUMBLINE_DRAIN_S="5") as (service, url):
        _all_there(place, service, workers)
        load = Load(f"{url}/v1/models/payments:predict", CLIENTS)
        with load.running():
            for restart in range(RESTARTS):
                before = set(workers_of(service))
                _more(load, 100, f"before restart {restart}")
                done = _reload(place)
                assert done.returncode == 0, done.stderr + done.stdout
                assert f"{workers} workers replaced" in done.stdout
                assert before.isdisjoint(pid for pid in before if running(pid))
                assert len(set(workers_of(service))) == workers
                _more(load, 100, f"after restart {restart}")
        service.terminate()
    _nothing_was_lost(load, place)


def test_a_restart_reads_the_settings_again(tmp_path: Path) -> None:
    place = home(tmp_path)
    with served(place) as (service, url):
        assert _predict(url, body=payments_body(2)).status_code == 200
        (place / "plumbline.toml").write_text("[service]\nmax_rows = 1\n")
        assert _reload(place).returncode == 0
        assert _predict(url, body=payments_body(2)).json()["code"] == "too_many_rows"
        (place / "plumbline.toml").write_text("[service]\nmax_rows = 'many'\n")
        refused = _reload(place)
        assert refused.returncode == 3 and "max_rows" in refused.stderr
        service.signal(signal.SIGHUP)
        wait_until(lambda: "reload: settings: " in service.output(), SOON_S, "the reload refused")
        assert _predict(url).status_code == 200


def test_a_new_worker_that_does_not_serve_what_the_old_ones_do_leaves_them_serving(tmp_path: Path) -> None:
    place = home(tmp_path)
    with served(place, workers=2) as (service, url):
        _all_there(place, service, 2)
        before = set(workers_of(service))
        pin = LockFile(place / "models.lock.toml").read().find("payments", "1")
        assert pin is not None
        (Registry(place / "registry").place(pin.digest) / "model.onnx").write_bytes(b"other")
        load = Load(f"{url}/v1/models/payments:predict", CLIENTS, kept=False)  # new connections find the new worker
        with load.running():
            refused = _reload(place)
            assert refused.returncode == 3
            assert "does not serve payments" in refused.stdout and "0 of 2 workers replaced" in refused.stdout
            wait_until(lambda: set(workers_of(service)) == before, SOON_S, "the old workers alone")
            _more(load, 100, "after the reload that failed")
        service.terminate()
    _every_answer_is_logged(load, place)


def test_nothing_to_reload_is_said_and_a_left_over_file_is_no_service(tmp_path: Path) -> None:
    place = home(tmp_path)
    (place / "service.json").write_text('{"pid":1,"started_us":0,"workers":1,"reload":null}')
    refused = _reload(place)
    assert refused.returncode == 3
    assert "no service runs" in refused.stderr


def test_up_passes_sighup_on_to_the_service(tmp_path: Path) -> None:
    place = home(tmp_path)
    with _up(place) as (process, url):
        before = set(workers_of(process))
        process.signal(signal.SIGHUP)
        wait_until(lambda: (now := set(workers_of(process))) and now.isdisjoint(before), SOON_S, "another worker")
        assert _predict(url).status_code == 200
        process.terminate(SOON_S)


# --- the end ------------------------------------------------------------------------------------------------------


def test_sigterm_says_not_ready_first_answers_on_closes_connections_and_seals_the_log(tmp_path: Path) -> None:
    place = home(tmp_path)
    with served(place, workers=2, PLUMBLINE_DRAIN_S=str(LONG_S)) as (service, url):
        _all_there(place, service, 2)
        load = Load(f"{url}/v1/models/payments:predict", CLIENTS)
        with load.running():
            _more(load, 100, "before SIGTERM")
            service.signal(signal.SIGTERM)
            wait_until(lambda: answers(f"{url}/readyz", 503), 10, "not ready")
            ready = httpx.get(f"{url}/v2/health/ready", trust_env=False)
            assert (ready.status_code, ready.json()["code"]) == (503, "draining")
            assert httpx.get(f"{url}/v2/models/payments/ready", trust_env=False).status_code == 503
            assert answers(f"{url}/livez")
            _more(load, 100, "after SIGTERM")
            answer = _predict(url)
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        service.signal(signal.SIGTERM)  # everybody has gone: a second signal ends the drain
        assert service.wait(SOON_S) == 0
    _nothing_was_lost(load, place)


def test_sigint_leaves_the_drain_out(tmp_path: Path) -> None:
    with served(home(tmp_path), PLUMBLINE_DRAIN_S=str(LONG_S)) as (service, _):
        assert service.interrupt(SOON_S) == 0


def test_a_second_signal_ends_the_drain_at_once(tmp_path: Path) -> None:
    place = home(tmp_path)
    with served(place, PLUMBLINE_DRAIN_S=str(LONG_S)) as (service, url):
        service.signal(signal.SIGTERM)
        wait_until(lambda: answers(f"{url}/readyz", 503), 10, "not ready")
        assert _predict(url).status_code == 200
        service.signal(signal.SIGTERM)
        assert service.wait(SOON_S) == 0
    _sealed_and_whole(place)


@pytest.mark.parametrize("begun", [False, True])
def test_two_signals_during_the_start_end_everything_at_once_and_leave_nobody_behind(
    tmp_path: Path, begun: bool
) -> None:
    command = plumbline("serve", "--home", home(tmp_path), "--port", free_port(), "--workers", 2)
    with Process(command, env=environment(PLUMBLINE_GRACE_S=str(LONG_S))) as service:
        service.wait_until(lambda: "supervisor.listening" in service.output(), SOON_S, "it hears signals")
        if begun:
            service.wait_until(lambda: len(workers_of(service)) == 2, SOON_S, "the workers begin")
        started = set(service.descendants())
        service.signal(signal.SIGINT)
        service.signal(signal.SIGINT)

        def ended() -> bool:
            started.update(service.descendants())
            return not service.alive()

        wait_until(ended, SOON_S, "the end")
        assert service.returncode == 0
        assert [pid for pid in started if running(pid)] == []


def test_a_request_in_flight_is_finished(tmp_path: Path) -> None:
    place = _with_a_slow_model(tmp_path)
    with _slow(place, PLUMBLINE_GRACE_S=str(LONG_S)) as (service, url):
        (worker,) = (psutil.Process(pid) for pid in workers_of(service))
        before_s = worker.cpu_times().user  # of the processor: the clock says how busy the machine is
        assert _predict(url, "slow", b'{"instances": [[100000]]}').status_code == 200
        turns = int(100_000 * SECONDS_OF_TURNS / (worker.cpu_times().user - before_s + 0.01))
        with _asked(service, url, turns) as answered:
            service.signal(signal.SIGTERM)
            assert service.wait(SOON_S) == 0
        assert answered[0].json() == {"predictions": [[turns]]}
        assert answered[0].headers["connection"] == "close"
    _sealed_and_whole(place)


@pytest.mark.parametrize(("grace_s", "signals"), [(1.0, 1), (LONG_S, 2)])
def test_a_request_that_is_not_done_at_the_end_of_the_grace_or_at_a_second_signal_is_cut_off_and_says_so(
    tmp_path: Path, grace_s: float, signals: int
) -> None:
    place = _with_a_slow_model(tmp_path)
    with _slow(place, PLUMBLINE_GRACE_S=str(grace_s)) as (service, url):
        with _asked(service, url, STUCK_TURNS) as answered:
            service.signal(signal.SIGTERM)
            if signals == 2:
                wait_until(lambda: "worker.leaving" in service.output(), 10, "the first signal taken")
                service.signal(signal.SIGTERM)
            assert service.wait(SOON_S) == 0
        assert (answered[0].status_code, answered[0].json()["code"]) == (503, "cut_off")
    (record,) = requests_in(place / "log")
    assert (record.outcome, record.status, record.code) == (Outcome.SHED, 503, "cut_off")
    _sealed_and_whole(place)


def test_workers_whose_supervisor_was_killed_leave_and_the_address_is_free(tmp_path: Path) -> None:
    place = home(tmp_path)
    with served(place, workers=2) as (service, url):
        wait_until(lambda: len(worker_signs(place / "workers")) == 2, SOON_S, "both workers ready")
        orphans = workers_of(service)
        port = url.rsplit(":", 1)[1]
        service.kill()
        with Process(plumbline("serve", "--home", place, "--port", port)) as successor:
            wait_until(lambda: not any(running(pid) for pid in orphans), SOON_S, "the orphans ended")
            successor.wait_until(lambda: answers(f"{url}/readyz"), SOON_S, "a successor on the same address")
            assert _predict(url).status_code == 200
            successor.terminate()
    _sealed_and_whole(place)


# --- a slow model, and `up` ---------------------------------------------------------------------------------------


def _with_a_slow_model(tmp_path: Path) -> Path:
    place = home(tmp_path)
    install(place, "slow", "1", turning(), turning_contract())
    route(place, "slow", stable="1")
    return place


@contextmanager
def _slow(place: Path, **changes: str) -> Iterator[tuple[Process, str]]:
    long_ms = str(LONG_S * 1000)  # the deadline of a request is not what is looked at here
    with served(place, PLUMBLINE_TIMEOUT_MS=long_ms, PLUMBLINE_INLINE_BELOW_US="0", **changes) as found:
        yield found


@contextmanager
def _asked(service: Process, url: str, turns: int) -> Iterator[list[httpx.Response]]:
    """While a request for so many turns is run; its answer is in the list afterwards."""
    answered: list[httpx.Response] = []
    body = f'{{"instances": [[{turns}]]}}'.encode()
    client = threading.Thread(target=lambda: answered.append(_predict(url, "slow", body)))
    (worker,) = (psutil.Process(pid) for pid in workers_of(service))
    busy_s = worker.cpu_times().user + 0.3  # more than an idle worker uses in the meantime
    client.start()
    wait_until(lambda: worker.cpu_times().user > busy_s, SOON_S, "the model runs")
    yield answered
    client.join()


@contextmanager
def _up(place: Path) -> Iterator[tuple[Process, str]]:
    port, monitor_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    command = plumbline("up", "--home", place, "--port", port, "--monitor-port", monitor_port)
    with Process(command) as process:
        process.wait_until(lambda: answers(f"{url}/readyz"), SOON_S, "service ready")
        yield process, url
