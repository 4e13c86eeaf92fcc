"""Writes the dashboards' JSON: `python -m deploy.grafana`; a test holds the files against what this gives."""

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.log import log
from deploy.grafana.model import model
from deploy.grafana.overview import overview
from deploy.grafana.rollout import rollout

FOLDER = Path(__file__).resolve().parent / "dashboards"


def files() -> dict[Path, str]:
    """What each file holds."""
    made = {"overview": overview(), "model": model(), "rollout": rollout(), "log": log()}
    return {FOLDER / f"{name}.json": json.dumps(one, cls=JSONEncoder, indent=1) + "\n" for name, one in made.items()}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
