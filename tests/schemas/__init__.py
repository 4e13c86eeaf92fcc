"""What others' tools accept: the schemas of Kubernetes and of the Compose specification, as far as `deploy/` needs them."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

HERE = Path(__file__).resolve().parent
KUBERNETES, COMPOSE = HERE / "kubernetes.json", HERE / "compose-spec.json"


def problems_of_manifest(manifest: dict[str, Any]) -> list[str]:
    """What the API server of Kubernetes would refuse; unknown fields too, as `kubectl apply --validate=strict` does."""
    schemas = json.loads(KUBERNETES.read_text())
    kind = f"{manifest['apiVersion']} {manifest['kind']}"
    if kind not in schemas["kinds"]:
        return [f"{kind}: no schema here, expected one of {', '.join(schemas['kinds'])}"]
    return _problems({**schemas["kinds"][kind], "$defs": schemas["$defs"]}, manifest)


def problems_of_compose(document: dict[str, Any]) -> list[str]:
    """What `docker compose config` would refuse."""
    return _problems(json.loads(COMPOSE.read_text()), document)


def _problems(schema: dict[str, Any], found: object) -> list[str]:
    errors = Draft202012Validator(schema).iter_errors(found)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]
