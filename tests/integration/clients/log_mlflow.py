"""Logs and registers versions with MLflow's own client, as a data scientist does; prints what became of them as JSON.

Asked by JSON on stdin: url, and by name of a registered model its versions (an ONNX file, `external:FILE` with its tensors
beside it, or a folder of files). Runs in MLflow's environment, so it imports nothing of ours.
"""

import json
import sys
from pathlib import Path

import mlflow
import onnx


def log(client: mlflow.MlflowClient, name: str, model: str) -> None:
    """One more version of a registered model."""
    with mlflow.start_run() as run:
        if Path(model).is_dir():
            mlflow.log_artifacts(model, "model")
            client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
            return
        external, file = model.startswith("external:"), model.removeprefix("external:")
        graph = onnx.load(file)
        told = {"save_as_external_data": external, "pip_requirements": ["onnx"]}
        logged = mlflow.onnx.log_model(graph, name="model", **told)
        mlflow.register_model(logged.model_uri, name)


def main() -> None:
    asked = json.load(sys.stdin)
    mlflow.set_tracking_uri(asked["url"])
    client = mlflow.MlflowClient()
    for name, models in asked["models"].items():
        client.create_registered_model(name)
        for model in models:
            log(client, name, model)


main()
