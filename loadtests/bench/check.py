"""Is what a system answers what ONNX Runtime alone answers? A fast wrong answer is not speed."""

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from loadtests.bench.models import Model
from loadtests.bench.report import Measurement
from loadtests.bench.server import SystemUnfit, finish, pinned
from loadtests.bench.site import HERE
from loadtests.bench.wires import Probabilities, Read, Reply, nothing
from loadtests.bench.wrk import Target

ANSWER_DEADLINE_S = 60  # a first request may load and compile
TOLERANCE = 1e-5  # float32 through another order of additions, and through JSON


def alone(model: Model, rows: int, *, cores: str, seconds: float, folder: Path) -> tuple[Probabilities, Measurement]:
    """What ONNX Runtime answers without a server, and how fast. Raises SystemUnfit."""
    file = folder / "feed.npz"
    np.savez(file, **model.feed(model.rows(rows)))
    argv = [sys.executable, str(HERE / "targets/ort_alone.py"), str(model.file), str(file), f"{seconds:g}"]
    printed: dict[str, Any] = json.loads(finish("onnxruntime alone", pinned(cores, argv), {}))
    expected: Probabilities = printed.pop("probabilities")
    return expected, Measurement(**printed, rows=rows)


def answers(name: str, target: Target, read: Read, expected: Probabilities) -> None:
    """Raises SystemUnfit unless the system answers 200 with the expected probabilities."""
    try:
        answer = httpx.post(
            target.url,
            content=target.request.body,
            headers=dict(target.request.headers),
            timeout=ANSWER_DEADLINE_S,
            trust_env=False,
        )
    except httpx.HTTPError as error:
        raise SystemUnfit(name, repr(error), "an answer", "") from error
    if answer.status_code != 200:
        raise SystemUnfit(name, f"{answer.status_code} {answer.text[:300]}", "200", "")
    if read is nothing:
        return
    try:
        found = np.array(read(Reply(answer.content, {k.lower(): v for k, v in answer.headers.items()})), np.float64)
    except (ValueError, LookupError, TypeError) as error:
        raise SystemUnfit(name, f"{error!r} in {answer.content[:300]!r}", "probabilities", "") from error
    if found.shape != np.shape(expected) or not np.allclose(found, expected, rtol=0, atol=TOLERANCE):
        raise SystemUnfit(name, f"{found.tolist()!r:.300}", f"{expected!r:.300} as ONNX Runtime alone", "")
