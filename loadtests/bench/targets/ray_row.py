"""Ray Serve as its documentation shows it: one deployment that reads a Starlette request; `PORT FOLDER`."""

import os
import signal
import sys
import tempfile

import numpy as np
import onnxruntime as ort
import ray
from ray import serve
from starlette.requests import Request

FEATURES = tuple(f"f{i}" for i in range(20))


@serve.deployment(num_replicas=1, max_ongoing_requests=100, ray_actor_options={"num_cpus": 0})
class Classify:
    def __init__(self, model: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    async def __call__(self, request: Request) -> dict:
        rows = (await request.json())["instances"]
        matrix = np.array([[row[name] for name in FEATURES] for row in rows], np.float32)
        return {"predictions": self.session.run(["probabilities"], {"input": matrix})[0].tolist()}


if __name__ == "__main__":
    port = int(sys.argv[1])
    # Ray's sockets have long names of their own: a short folder, as their paths may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        ray.init(num_cpus=1, include_dashboard=False, _temp_dir=folder, _node_ip_address="127.0.0.1")
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(Classify.bind(os.environ["BENCH_MODEL"]), route_prefix="/predict")
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
        serve.shutdown()
        ray.shutdown()
