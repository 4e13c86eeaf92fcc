"""What is left without a framework: raw ASGI with the model, without it, and ONNX Runtime without a server."""

from loadtests.bench.systems import Form, System, Way, uvicorn
from loadtests.bench.wires import listed, named, nothing, predictions

UVICORN_ORT = System(
    name="bare uvicorn + onnxruntime",
    note="raw ASGI, msgspec, ONNX Runtime, nothing else",
    argv=uvicorn("bare_asgi:predict"),
    ways={
        Form.NAMED: Way("/named", named("instances"), predictions),
        Form.LISTED: Way("/listed", listed("instances"), predictions),
    },
)
EMPTY = System(
    name="bare uvicorn, empty answer",
    note="the ceiling of this HTTP server on this core",
    argv=uvicorn("bare_asgi:empty"),
    ways={Form.NAMED: Way("/", named("instances"), nothing), Form.LISTED: Way("/", listed("instances"), nothing)},
)
PAYMENTS = System(
    name="bare uvicorn + onnxruntime, payments",
    note="mixed types by a msgspec struct",
    argv=uvicorn("bare_payments:predict"),
    ways={Form.NAMED: Way("/named", named("instances"), predictions)},
)
ALONE = System(
    name="onnxruntime alone",
    note="`InferenceSession.run` in a loop on the same core: no server, no request",
    argv=("{python}", "{targets}/ort_alone.py", "{model}", "{feed}", "{seconds}"),
    ways={},
    ready="",
    start_s=0.5,
)
