"""Writes the two schemas again: `python -m tests.schemas FOLDER`, where the two wheels below are unpacked.

Both packages are data for the most part, 24 MB packed; what `deploy/` needs of them is 150 kB, so it is kept here and the tests
need neither. The schemas of Kubernetes and the Compose specification are Apache-2.0.

    pip download --no-deps kubernetes-validate==1.37.0 check-jsonschema==0.39.0
    for wheel in *.whl; do unzip -q "$wheel"; done
"""

import json
import sys
from pathlib import Path
from typing import Any

from tests.schemas import COMPOSE, KUBERNETES

VERSION = "v1.37.0"
STRICT = f"kubernetes_validate/kubernetes-json-schema/{VERSION}-local-strict"
COMPOSE_SPEC = "check_jsonschema/builtin_schemas/vendor/compose-spec.json"
KINDS = {
    "apps/v1 StatefulSet": "statefulset-apps-v1",
    "autoscaling/v2 HorizontalPodAutoscaler": "horizontalpodautoscaler-autoscaling-v2",
    "networking.k8s.io/v1 NetworkPolicy": "networkpolicy-networking-v1",
    "policy/v1 PodDisruptionBudget": "poddisruptionbudget-policy-v1",
    "v1 ConfigMap": "configmap-v1",
    "v1 Service": "service-v1",
}


def main(folder: Path) -> None:
    every = json.loads((folder / STRICT / "_definitions.json").read_text())["$defs"]
    needed: dict[str, Any] = {}

    def bare(value: Any, *, names: bool = False) -> Any:
        """Without descriptions; every definition that it points to goes into `needed`. `names`: the keys are a manifest's."""
        if isinstance(value, list):
            return [bare(one) for one in value]
        if not isinstance(value, dict):
            return value
        if isinstance(value.get("$ref"), str):
            name = value["$ref"].rpartition("/")[2]
            if name not in needed:
                needed[name] = None
                needed[name] = bare(every[name])
            return {"$ref": f"#/$defs/{name}"}
        kept = {key: one for key, one in value.items() if names or key not in ("description", "$schema", "$id")}
        return {key: bare(one, names=not names and key == "properties") for key, one in kept.items()}

    kinds = {kind: bare(json.loads((folder / STRICT / f"{file}.json").read_text())) for kind, file in KINDS.items()}
    KUBERNETES.write_text(_text({"version": VERSION, "kinds": kinds, "$defs": dict(sorted(needed.items()))}))
    COMPOSE.write_text(_text(json.loads((folder / COMPOSE_SPEC).read_text())))


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
