"""A real MLflow tracking server and model registry, from PyPI, in an environment of its own, with SQLite below."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.integration.environments import LOCKS, environment_of
from tests.processes import Process, answers, environment, free_port

READY_S = 120.0  # its imports alone take ten seconds on a busy machine
LOG_S = 120
QUIET = {  # no job runners, nothing sent home
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "PYTHONPATH": "",
}


@dataclass(frozen=True, slots=True)
class MlflowServer:
    """Where it listens and where its artefacts lie."""

    url: str
    artifacts: Path

    def log(self, models: Mapping[str, Sequence[Path | str]]) -> None:
        """Logs and registers versions by name with MLflow's own client: ONNX graphs, or folders as they are."""
        asked = {"url": self.url, "models": {name: [str(one) for one in versions] for name, versions in models.items()}}
        ran = subprocess.run(
            [str(environment_of("mlflow") / "python"), str(LOCKS / "log_mlflow.py")],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=LOG_S,
            check=False,
            env=environment(**QUIET),
        )
        assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]

    def alias(self, name: str, alias: str, version: int) -> None:
        """Lets an alias point at a version, as MLflow's page and client do."""
        asked = {"name": name, "alias": alias, "version": str(version)}
        answer = httpx.post(f"{self.url}/api/2.0/mlflow/registered-models/alias", json=asked, trust_env=False)
        assert answer.status_code == 200, answer.text


@contextmanager
def mlflow_server(place: Path) -> Iterator[MlflowServer]:
    """Runs until left."""
    port = free_port()
    place.mkdir(exist_ok=True)
    command = [environment_of("mlflow") / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    stores = ["--backend-store-uri", f"sqlite:///{place}/store.db", "--artifacts-destination", place / "artifacts"]
    with Process([*command, *stores, "--workers", "1"], env=environment(**QUIET), cwd=place) as process:
        url = f"http://127.0.0.1:{port}"
        process.wait_until(lambda: answers(f"{url}/health"), READY_S, "MLflow ready")
        yield MlflowServer(url, place / "artifacts")
