"""FastAPI as its documentation shows it: pydantic models in and out, `def` (thread pool) or `async def`, under uvicorn."""

from loadtests.bench.systems import ONNX, UVICORN, Form, System, Way, uvicorn
from loadtests.bench.wires import listed, named, predictions

FASTAPI = ("fastapi==0.165.0", *UVICORN, *ONNX)


def _fastapi(mode: str, suffix: str) -> System:
    return System(
        name=f"fastapi {mode}",
        note=f"FastAPI + pydantic + ONNX Runtime, `{'async def' if mode == 'async' else 'def'}`",
        requirements=FASTAPI,
        argv=uvicorn("fastapi_rows:app"),
        ways={
            Form.NAMED: Way(f"/named{suffix}", named("instances"), predictions),
            Form.LISTED: Way(f"/listed{suffix}", listed("instances"), predictions),
        },
    )


SYNC = _fastapi("sync", "-sync")
ASYNC = _fastapi("async", "")
PAYMENTS = System(
    name="fastapi async, payments",
    note="mixed types by a pydantic model",
    requirements=FASTAPI,
    argv=uvicorn("fastapi_payments:app"),
    ways={Form.NAMED: Way("/named", named("instances"), predictions)},
)
