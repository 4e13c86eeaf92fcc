"""LitServe as its documentation shows it: a LitAPI with setup, decode_request, predict, encode_response; one worker.

Its documentation's "Batching" page gives the batching variant (`max_batch_size`, `batch_timeout`). `fast_queue` (ZeroMQ instead
of a queue of the standard library) is its switch for throughput: it is on.
"""

from loadtests.bench.systems import ONNX, Form, System, Way
from loadtests.bench.wires import predictions, single


def _litserve(name: str, note: str, size: int, timeout_s: float) -> System:
    return System(
        name=name,
        note=note,
        requirements=("litserve==0.2.19", *ONNX),
        argv=("{python}", "{targets}/litserve_row.py", "{port}", str(size), str(timeout_s)),
        ways={Form.NAMED: Way("/predict", single("row"), predictions)},
        ready="/health",
        start_s=4.0,
    )


LITSERVE = _litserve("litserve", "LitAPI, one row a request, one worker, fast queue", 1, 0.0)
BATCHING = _litserve("litserve, batching", "`max_batch_size=16`, `batch_timeout=0.005`", 16, 0.005)
