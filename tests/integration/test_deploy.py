"""Service and monitor with the environment of deploy/kubernetes, on a new home: the probes hear yes, others need a key."""

from pathlib import Path

import httpx
import pytest
import yaml

from tests.processes import Process, answers, environment, free_port, home, plumbline
from tests.unit.service.serving import furnish

pytestmark = pytest.mark.integration
DEADLINE_S = 240.0
BASE = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes" / "base"


def test_a_pod_becomes_ready_and_answers_probes_without_a_key_and_nothing_else(tmp_path: Path) -> None:
    place, port, monitor_port = home(tmp_path), free_port(), free_port()
    furnish(place)
    settings = yaml.safe_load((BASE / "settings.yaml").read_text())["data"]
    pod = yaml.safe_load((BASE / "statefulset.yaml").read_text())["spec"]["template"]["spec"]
    monitor = next(one for one in pod["initContainers"] if one["name"] == "monitor")
    (service,) = pod["containers"]
    ports = {"PLUMBLINE_PORT": str(port), "PLUMBLINE_MONITOR_PORT": str(monitor_port)}
    env = environment(**{**settings, **ports, "PLUMBLINE_HOME": str(place), "PLUMBLINE_DRAIN_S": "0"})
    with (
        Process(plumbline(*monitor["args"]), env=env) as watching,
        Process(plumbline(*service["args"]), env=env) as serving,
    ):
        for running, one, number in ((serving, service, port), (watching, monitor, monitor_port)):
            url = f"http://127.0.0.1:{number}"
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if probe in one:
                    asked = f"{url}{one[probe]['httpGet']['path']}"
                    running.wait_until(lambda asked=asked: answers(asked), DEADLINE_S, f"{probe} of {one['name']}")
            assert httpx.get(f"{url}/metrics", trust_env=False).status_code == 401
