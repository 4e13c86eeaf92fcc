r"""Locust drives both demo models, one user class for each kind of traffic.

    python -m locust -f loadtests/locustfile.py --host http://127.0.0.1:3000
    python -m locust -f loadtests/locustfile.py --host http://127.0.0.1:3000 --headless --users 20 --run-time 10m \
        --incident unit_x1000 --incident-after 120

Name the classes to choose kinds (`… PaymentsByName TumoursMatrix`), or `--tags v2`. Exit code 1 means that an answer was wrong.
"""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from locust import HttpUser, constant_throughput, events, tag, task
from locust.env import Environment

from loadtests import traffic
from loadtests.answers import REQUEST_ID, fault
from models.demo.incidents import INCIDENTS, Incident
from models.demo.tumours import Tumours, tumours

PAYMENTS_V1, TUMOURS_V1 = "/v1/models/payments:predict", "/v1/models/tumours:predict"
PAYMENTS_V2, TUMOURS_V2 = "/v2/models/payments/infer", "/v2/models/tumours/infer"
FEEDBACK = "/v1/models/payments:feedback"
BATCH_ROWS = 32
REQUESTS_A_USER_S = 10.0  # steady arrivals: a slow answer is not followed by fewer requests but by a shorter pause
TIMEOUT_S = 10.0


@events.init_command_line_parser.add_listener
def _options(parser: ArgumentParser) -> None:
    kinds = "; ".join(f"{name.value}: {damage.size_means}, {damage.size:g}" for name, damage in INCIDENTS.items())
    parser.add_argument("--incident", choices=["", *Incident], default="", help="what goes wrong with the payments")
    parser.add_argument("--incident-after", type=float, default=0.0, help="seconds of normal traffic before it")
    parser.add_argument("--incident-size", type=float, default=None, help=f"what it means and its default: {kinds}")
    parser.add_argument("--seed", type=int, default=1, help="of the simulated rows")


@dataclass(slots=True)
class Scene:
    """What all users of one run share; hangs on the run's environment."""

    trouble: traffic.Trouble | None
    generators: Iterator[np.random.Generator]
    tumours: Tumours
    began_s: float


@events.init.add_listener
def _prepare(environment: Environment, **_: object) -> None:
    options = environment.parsed_options
    trouble = None
    if options.incident:
        trouble = traffic.Trouble(Incident(options.incident), options.incident_after, options.incident_size)
    environment.scene = Scene(trouble, traffic.user_seeds(options.seed), tumours(), time.monotonic())


@events.test_start.add_listener
def _begin(environment: Environment, **_: object) -> None:
    environment.scene.began_s = time.monotonic()


class Client(HttpUser):
    """A caller that gives every request an id of its own and looks at every answer."""

    abstract = True
    wait_time = constant_throughput(REQUESTS_A_USER_S)

    def on_start(self) -> None:
        self.scene: Scene = self.environment.scene
        self.rng = next(self.scene.generators)
        self.payments = traffic.PaymentsSource(self.rng, self.scene.trouble)

    def take(self, n: int) -> traffic.Paid:
        elapsed_s = time.monotonic() - self.scene.began_s
        return self.payments.take(n, now_s=time.time(), elapsed_s=elapsed_s)

    def measure(self, n: int) -> npt.NDArray[np.float64]:
        return traffic.tumour_cells(self.rng, self.scene.tumours, n)

    def predict(self, path: str, body: traffic.Body, *, n: int, kind: str, refused: bool = False) -> str:
        """Sends and judges; the request's id."""
        request_id = uuid4().hex
        headers = {REQUEST_ID: request_id}
        with self.client.post(
            path, json=body, headers=headers, name=f"{path} {kind}", timeout=TIMEOUT_S, catch_response=True
        ) as answer:
            document = answer.json() if answer.content else None
            problem = fault(answer.status_code, answer.headers, document, request_id=request_id, n=n, refused=refused)
            answer.failure(problem) if problem else answer.success()
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
        metadata = self.client.get("/v2/models/tumours", name="/v2/models/tumours metadata", timeout=TIMEOUT_S).json()
        (tensor,) = metadata["inputs"]
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
