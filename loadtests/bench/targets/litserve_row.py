"""LitServe as its documentation shows it: a LitAPI whose request is one row; `PORT MAX_BATCH BATCH_TIMEOUT_S`."""

import os
import sys

import litserve as ls
import numpy as np
import onnxruntime as ort

FEATURES = tuple(f"f{i}" for i in range(20))


class Classify(ls.LitAPI):
    def setup(self, device: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"])

    def decode_request(self, request: dict) -> np.ndarray:
        row = request["row"]
        return np.array([row[name] for name in FEATURES], np.float32)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """A batch of rows, or one row where batching is off; LitServe stacks and unstacks arrays by itself."""
        return self.session.run(["probabilities"], {"input": rows.reshape(-1, len(FEATURES))})[0]

    def encode_response(self, output: np.ndarray) -> dict:
        return {"predictions": output.reshape(-1, 2).tolist()}


if __name__ == "__main__":
    port, size, timeout_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    api = Classify(max_batch_size=size, batch_timeout=timeout_s)
    server = ls.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1, fast_queue=True)
    server.run(host="127.0.0.1", port=port, num_api_servers=1, generate_client_file=False, log_level="warning")
