"""BentoML in its three modes: a class with `@bentoml.api`, a pydantic model a row (or an array), its default settings.

Chosen after its documentation's "Create online API Services" and "Adaptive batching": one worker, no tuning. Batchable takes a
list of rows along the first axis and has BentoML's default latency target (60 s), so that it does not refuse.
"""

from loadtests.bench.systems import ONNX, Form, System, Way
from loadtests.bench.wires import listed, matrix, named

BENTOML = ("bentoml==1.4.39", *ONNX)


def _bentoml(
    mode: str, service: str, *requirements: str, note: str, environment: dict[str, str] | None = None
) -> System:
    return System(
        name=f"bentoml {mode}",
        note=f"`@bentoml.api`, {note}, one worker",
        requirements=requirements,
        argv=(
            *("{bin}/bentoml", "serve", f"bentoml_plain:{service}", "--working-dir", "{targets}"),
            *("--host", "127.0.0.1", "--port", "{port}"),
        ),
        ways={
            Form.NAMED: Way("/named", named("rows"), matrix),
            Form.LISTED: Way("/listed", listed("rows"), matrix),
        },
        ready="/readyz",
        environment={"BENTOML_HOME": "{home}", **(environment or {})},
        start_s=4.0,
    )


AS_SHOWN = "installed and written as its docs show it"
SYNC = _bentoml("sync", "Sync", *BENTOML, note=AS_SHOWN)
ASYNC = _bentoml("async", "Async", *BENTOML, note=AS_SHOWN)
BATCHABLE = _bentoml("batchable", "Batchable", *BENTOML, note=AS_SHOWN)
ASYNC_UVLOOP = _bentoml(
    "async, uvloop",
    "Async",
    *BENTOML,
    "uvloop==0.23.0",
    "httptools==0.9.0",
    note="with the uvloop and httptools that it does not ask for",
)
PAYMENTS = _bentoml("async, payments", "Payments", *BENTOML, note="mixed types by a pydantic model")
