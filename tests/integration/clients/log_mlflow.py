"""Logs and registers versions with MLflow's own client, as a data scientist does; prints what became of them as JSON.

Asked by JSON on stdin: url, name, models (an ONNX file, `external:FILE` with its tensors beside it, or a folder of files),
aliases. Runs in MLflow's environment, so it imports nothing of ours.
"""

import json
import sys
from pathlib import Path
from typing import Any

import mlflow
import onnx


def log(client: mlflow.MlflowClient, name: str, model: str) -> Any:
    """One more version of a registered model."""
    with mlflow.start_run() as run:
        if Path(model).is_dir():
            mlflow.log_artifacts(model, "model")
            return client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
        external, file = model.startswith("external:"), model.removeprefix("external:")
        graph = onnx.load(file)
        told = {"save_as_external_data": external, "pip_requirements": ["onnx"]}
        logged = mlflow.onnx.log_model(graph, name="model", **told)
        return mlflow.register_model(logged.model_uri, name)


def main() -> None:
    asked = json.load(sys.stdin)
    mlflow.set_tracking_uri(asked["url"])
    client = mlflow.MlflowClient()
    try:
        client.create_registered_model(asked["name"])
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    versions = [log(client, asked["name"], model) for model in asked["models"]]
    for alias, version in asked["aliases"].items():
        client.set_registered_model_alias(asked["name"], alias, version)
    print(json.dumps([{"version": str(version.version), "source": version.source} for version in versions]))


main()
