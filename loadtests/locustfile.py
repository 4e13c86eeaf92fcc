r"""Locust drives the models of a service by scenario, one user class for each kind of traffic; docs/load-testing.md.

    python -m locust -f loadtests/locustfile.py
    python -m locust -f loadtests/locustfile.py --headless --scenario spike --users 60
    python -m locust -f loadtests/locustfile.py --headless --scenario incident --incident null_burst --run-time 10m

Every scenario ends by itself and writes a report. Exit code 1: the objective was missed, or requests are not all accounted for.
Name classes to choose kinds of traffic (`… PaymentsByName TumoursMatrix`), or `--tags v2`.
"""

import logging
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import uuid4

import gevent
import msgspec
import numpy as np
import numpy.typing as npt
from flask import send_file
from locust import HttpUser, LoadTestShape, constant, constant_throughput, events, tag, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import MasterRunner, WorkerRunner
from locust.user.task import LOCUST_STATE_STOPPING

from loadtests import traffic
from loadtests.answers import REQUEST_ID, document_of, fault
from loadtests.load.any_model import question
from loadtests.load.asked import Asked, add_options, asked
from loadtests.load.key import key_headers
from loadtests.load.plans import USERS
from loadtests.load.run import STOP, Run
from loadtests.load.seen import Seen
from loadtests.load.slow import End, Way, dawdle
from models.demo.tumours import Tumours, tumours

HOST = "http://127.0.0.1:3000"  # unless --host or the page says otherwise, only this machine is asked
PAYMENTS_V1, TUMOURS_V1 = "/v1/models/payments:predict", "/v1/models/tumours:predict"
PAYMENTS_V2, TUMOURS_V2 = "/v2/models/payments/infer", "/v2/models/tumours/infer"
FEEDBACK = "/v1/models/payments:feedback"
READY_MODELS = "/v2/repository/index"
REPORT = "/load-report"  # on locust's page, beside its own
SEEN = "plumbline_seen"  # what a worker tells the master when its users have stopped
BATCH_ROWS = 32
REQUESTS_A_USER_S = 10.0  # steady arrivals: a slow answer is not followed by fewer requests but by a shorter pause
TIMEOUT_S = 10.0
STOP_S = 6.0  # users finish what they asked: the service's deadline is 5 s


@dataclass(slots=True)
class Scene:
    """What all users of one process share in one run; hangs on the run's environment."""

    asked: Asked
    generators: Iterator[np.random.Generator]
    tumours: Tumours
    began_s: float
    seen: Seen


@events.init_command_line_parser.add_listener
def _options(parser: Any) -> None:
    add_options(parser)


@events.init.add_listener
def _prepare(environment: Environment, runner: Any, web_ui: Any, **_: object) -> None:
    options = environment.parsed_options
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would say every look at /metrics
    environment.host = environment.host or HOST
    environment.stop_timeout = environment.stop_timeout or STOP_S
    options.num_users = options.num_users or USERS
    options.spawn_rate = options.spawn_rate or options.num_users
    environment.tumours, environment.run = tumours(), None
    asked(options)  # what is no number is told now, not by the first user
    if options.headless and not isinstance(runner, WorkerRunner):
        # locust listens for it only when a shape is over: until then it would end without a report, and leave a canary behind
        gevent.signal_handler(signal.SIGTERM, os.kill, os.getpid(), signal.SIGINT)
    if isinstance(runner, MasterRunner):
        runner.register_message(SEEN, _heard)
    if isinstance(runner, WorkerRunner):
        runner.register_message(STOP, _stop)
    if web_ui is not None:
        web_ui.app.add_url_rule(REPORT, "load_report", lambda: _report(environment))


@events.test_start.add_listener
def _begin(environment: Environment, **_: object) -> None:
    """Before the first user of a run, in each process."""
    wanted, worker = asked(environment.parsed_options), isinstance(environment.runner, WorkerRunner)
    seed = [wanted.seed, environment.runner.worker_index] if worker else wanted.seed
    seen = Seen()
    if not worker:
        environment.run = Run(environment, wanted, seen)
        environment.run.begin()
    environment.scene = Scene(wanted, traffic.user_seeds(seed), environment.tumours, time.monotonic(), seen)


@events.test_stop.add_listener
def _end(environment: Environment, **_: object) -> None:
    if isinstance(environment.runner, WorkerRunner):
        environment.runner.send_message(SEEN, {"rows": environment.scene.seen.drain()})
    elif environment.run is not None:
        environment.run.end()


def _stop(environment: Environment, **_: object) -> None:
    environment.runner.stop()


def _heard(environment: Environment, msg: Any, **_: object) -> None:
    if environment.run is not None:
        environment.run.hear(msg.node_id, msg.data["rows"])


def _report(environment: Environment) -> Any:
    """Of the newest run that has ended."""
    run = environment.run
    return ("no run has ended yet", 404) if run is None or not run.told else send_file(run.asked.report.resolve())


class Planned(LoadTestShape):
    """As many users, of the classes, as the chosen scenario has at this moment."""

    use_common_options = True

    def tick(self) -> tuple[int, float, list[type]] | None:
        environment = self.runner.environment
        options, run = environment.parsed_options, environment.run
        before = run is None or run.ended  # the run begins with the users that this asks for
        users = 1 if before else run.users()
        if users is None:
            self.runner.stop()  # here, so that workers have stopped before the run is over
            return None
        named = {one.__name__: one for one in environment.user_classes}
        callers = [named[name] for name in asked(options).plan.callers if name in named]
        return users, float(options.spawn_rate), callers or environment.user_classes


class Client(HttpUser):
    """A caller that gives every request an id of its own and looks at every answer."""

    abstract = True
    host = HOST
    wait_time = constant_throughput(REQUESTS_A_USER_S)

    def on_start(self) -> None:
        self.scene: Scene = self.environment.scene
        self.client.headers.update(key_headers())
        self.rng = next(self.scene.generators)
        self.payments = traffic.PaymentsSource(self.rng, self.scene.asked.trouble)

    def take(self, n: int) -> traffic.Paid:
        elapsed_s = time.monotonic() - self.scene.began_s
        return self.payments.take(n, now_s=time.time(), elapsed_s=elapsed_s)

    def measure(self, n: int) -> npt.NDArray[np.float64]:
        return traffic.tumour_cells(self.rng, self.scene.tumours, n)

    def metadata(self, model: str) -> Any:
        """Of a model, by V2. Who is not told cannot ask: locust has counted the failure, and the user goes."""
        answer = self.client.get(f"/v2/models/{model}", name=f"/v2/models/{model} metadata", timeout=TIMEOUT_S)
        if not answer.ok:
            raise StopUser
        return answer.json()

    def predict(self, path: str, body: traffic.Body, *, n: int, kind: str, refused: bool = False) -> str:
        """Sends and judges; the request's id."""
        request_id = uuid4().hex
        headers = {REQUEST_ID: request_id}
        with self.client.post(
            path, json=body, headers=headers, name=f"{path} {kind}", timeout=TIMEOUT_S, catch_response=True
        ) as answer:
            document = document_of(answer.content)
            problem = fault(answer.status_code, answer.headers, document, request_id=request_id, n=n, refused=refused)
            answer.failure(problem) if problem else answer.success()
            self.scene.seen.note(
                ended_s=time.time(),
                status=answer.status_code,
                wrong=problem is not None,
                latency_ms=answer.request_meta["response_time"],
            )
        return request_id


class PaymentsByName(Client):
    """A backend that sends one payment as an object."""

    weight = 4

    @tag("payments", "v1")
    @task
    def pay(self) -> None:
        paid = self.take(1)
        self.predict(PAYMENTS_V1, traffic.v1(paid.rows), n=1, kind="by name", refused=paid.refused)


class PaymentsColumns(Client):
    """A backend that speaks V2, one tensor a column."""

    weight = 2

    @tag("payments", "v2")
    @task
    def pay(self) -> None:
        paid = self.take(1)
        self.predict(PAYMENTS_V2, traffic.v2_columns(paid.rows), n=1, kind="columns", refused=paid.refused)


class PaymentsInBatches(Client):
    """A nightly job: 32 payments a request, by turns V1 and V2."""

    weight = 1
    wait_time = constant_throughput(REQUESTS_A_USER_S / 5)

    @tag("payments", "v1", "batch")
    @task
    def by_name(self) -> None:
        paid = self.take(BATCH_ROWS)
        self.predict(PAYMENTS_V1, traffic.v1(paid.rows), n=BATCH_ROWS, kind="batch", refused=paid.refused)

    @tag("payments", "v2", "batch")
    @task
    def columns(self) -> None:
        paid = self.take(BATCH_ROWS)
        self.predict(PAYMENTS_V2, traffic.v2_columns(paid.rows), n=BATCH_ROWS, kind="batch", refused=paid.refused)


class TumoursLists(Client):
    """A laboratory that sends measurements as a list, in the contract's order."""

    weight = 2

    @tag("tumours", "v1")
    @task
    def examine(self) -> None:
        self.predict(TUMOURS_V1, traffic.v1(self.measure(1).tolist()), n=1, kind="lists")


class TumoursMatrix(Client):
    """A laboratory that speaks V2 and sends one matrix."""

    weight = 2

    def on_start(self) -> None:
        super().on_start()
        (tensor,) = self.metadata("tumours")["inputs"]
        self.tensor = str(tensor["name"])

    @tag("tumours", "v2")
    @task
    def examine(self) -> None:
        self.predict(TUMOURS_V2, traffic.v2_matrix(self.tensor, self.measure(1)), n=1, kind="matrix")


class PaymentsWithLabels(Client):
    """A backend that learns later which of its payments were fraud, and says so."""

    weight = 1

    def on_start(self) -> None:
        super().on_start()
        self.turn = count()
        self.known: list[tuple[str, bool]] = []

    @tag("payments", "v1", "feedback")
    @task
    def pay_or_tell(self) -> None:
        if self.known and next(self.turn) % 2:
            self.tell(*self.known.pop())
            return
        paid = self.take(1)
        request_id = self.predict(PAYMENTS_V1, traffic.v1(paid.rows), n=1, kind="labelled", refused=paid.refused)
        if not paid.refused:
            self.known.append((request_id, paid.fraud[0]))

    def tell(self, request_id: str, fraud: bool) -> None:
        label = {"request_id": request_id, "row": 0, "label": fraud, "observed_at": time.time()}
        with self.client.post(FEEDBACK, json=label, timeout=TIMEOUT_S, catch_response=True) as answer:
            if answer.ok:
                answer.success()
            else:
                answer.failure(f"status: found {answer.status_code} {answer.text[:200]}, expected 2xx")


class AnyModel(Client):
    """Somebody who asks every model that is ready, by turns, for what its metadata says that it takes."""

    def on_start(self) -> None:
        super().on_start()
        answer = self.client.post(READY_MODELS, json={"ready": True}, timeout=TIMEOUT_S)
        names = sorted({pin["name"] for pin in answer.json() if pin["state"] == "READY"}) if answer.ok else []
        if not names:
            raise StopUser
        self.models = [self.metadata(name) for name in names]
        self.turn = count(int(self.rng.integers(len(names))))

    @tag("v2", "any")
    @task
    def ask(self) -> None:
        metadata = self.models[next(self.turn) % len(self.models)]
        wanted = question(metadata, self.rng)
        self.predict(f"/v2/models/{metadata['name']}/infer", wanted.body, n=wanted.rows, kind="by metadata")


class SlowHeads(Client):
    """Somebody whose request line and headers come a byte at a time."""

    way = Way.HEAD
    wait_time = constant(0.1)

    @tag("slow")
    @task
    def dawdle(self) -> None:
        body = msgspec.json.encode(traffic.v1(self.take(1).rows))
        began_s = time.monotonic()
        problem: OSError | None = None
        try:
            attempt = dawdle(self.environment.host, PAYMENTS_V1, body, self.way, self._over, headers=key_headers())
            if attempt.ended_by is End.KEPT:
                problem = TimeoutError(f"kept for {attempt.seconds:.0f} s, expected to be cut off")
        except OSError as error:
            problem = error
        events.request.fire(
            request_type="SLOW",
            name=f"{PAYMENTS_V1} slow {self.way}",
            response_time=(time.monotonic() - began_s) * 1000,
            response_length=0,
            exception=problem,
            context={},
        )

    def _over(self) -> bool:
        return bool(self._state == LOCUST_STATE_STOPPING)


class SlowBodies(SlowHeads):
    """Somebody whose body comes a byte at a time."""

    way = Way.BODY
