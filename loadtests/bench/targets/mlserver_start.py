"""MLServer over a folder that is written here: its settings, one model's settings, one custom runtime; `FOLDER PORT`."""

import json
import os
import socket
import sys
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0,
        "debug": False,
    }
    model = {
        "name": os.environ["BENCH_NAME"],
        "implementation": "mlserver_runtime.OnnxRuntime",
        "parameters": {"uri": os.environ["BENCH_MODEL"]},
        "max_batch_size": int(os.environ.get("BENCH_BATCH", "0")),
        "max_batch_time": float(os.environ.get("BENCH_BATCH_S", "0")),
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    os.execv(Path(sys.executable).parent / "mlserver", ["mlserver", "start", str(folder)])
