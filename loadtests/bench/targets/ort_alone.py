"""ONNX Runtime without a server: `MODEL FEED.npz SECONDS`; prints the answer to the feed and how often it could be given."""

import json
import sys
import time

import numpy as np
import onnxruntime as ort

if __name__ == "__main__":
    model, feed_file, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    run = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run
    stored = np.load(feed_file)
    feed = {name: stored[name].astype(object) if stored[name].dtype.kind == "U" else stored[name] for name in stored}
    answer = run(["probabilities"], feed)[0]
    took_ns = []
    begun_ns = now_ns = time.perf_counter_ns()
    while now_ns - begun_ns < seconds * 1e9:
        run(["probabilities"], feed)
        before_ns, now_ns = now_ns, time.perf_counter_ns()
        took_ns.append(now_ns - before_ns)
    p50_us, p95_us, p99_us = np.percentile(took_ns or [0], [50, 95, 99]) / 1e3
    print(
        json.dumps(
            {
                "probabilities": answer.tolist(),
                "requests": len(took_ns),
                "duration_us": int((now_ns - begun_ns) / 1e3),
                "p50_us": p50_us,
                "p95_us": p95_us,
                "p99_us": p99_us,
            }
        )
    )
