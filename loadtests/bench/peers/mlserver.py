"""MLServer with a custom runtime, as its documentation's "Custom Inference Runtimes" shows it: load, predict, NumpyCodec.

Chosen in its favour: `parallel_workers: 0`, which its documentation names for serving in the server's own process (the default
hands every request to a second process, which on one core costs more than it gives), and `debug: false`. It speaks V2 alone and
has no rows by name, so it is always asked with one tensor: less to parse than the others have. Its REST server knows no binary
tensor data.
"""

from loadtests.bench.systems import ONNX, Form, System, Way
from loadtests.bench.wires import v2_json, v2_outputs

_WAY = Way("/v2/models/{name}/infer", v2_json, v2_outputs)


def _mlserver(name: str, note: str, **model: str) -> System:
    return System(
        name=name,
        note=note,
        requirements=("mlserver==1.7.1", *ONNX),
        argv=("{python}", "{targets}/mlserver_start.py", "{home}", "{port}"),
        ways={Form.V2: _WAY, Form.NAMED: _WAY, Form.LISTED: _WAY},
        ready="/v2/health/ready",
        environment={"BENCH_NAME": "{name}", **model},
        start_s=3.5,
    )


MLSERVER = _mlserver("mlserver", "custom ONNX runtime, in its own process, V2 JSON")
BATCHING = _mlserver(
    "mlserver, batching", "adaptive batching, 16 requests or 5 ms", BENCH_BATCH="16", BENCH_BATCH_S="0.005"
)
