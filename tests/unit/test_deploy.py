"""deploy/ says what others' tools accept, and names only settings, ports, paths and times that this release has."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import monitoring.settings
import service.settings
from models.lock import Lock
from monitoring import keyed
from plumbline import main
from service.doctor.names import OTHERS
from service.doctor.needs import SPARE_DESCRIPTORS
from service.drain import FLUSH_S, NEW_CONNECTION_S
from service.http.needs import NEEDS, Need
from service.http.paths import Verb, parse
from service.routes_document import Routes
from service.supervise import SEAL_S
from tests.schemas import problems_of_compose, problems_of_manifest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BASE, REPLICAS = DEPLOY / "kubernetes" / "base", DEPLOY / "kubernetes" / "overlays" / "replicas"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SERVICE, MONITOR = service.settings.Settings, monitoring.settings.Settings
IMAGE_UID = 10001  # Dockerfile
COMPOSE_ONLY = frozenset({"PLUMBLINE_IMAGE"})  # which image compose starts
LEAVE_S = SERVICE().drain_s + NEW_CONNECTION_S + SERVICE().grace_s + FLUSH_S + SEAL_S
FILES = sorted(path for path in DEPLOY.rglob("*") if path.suffix in (".yaml", ".yml", ".service"))
OURS = [path for path in FILES if path.parent.name not in ("prometheus", "rules", "alertmanager")]


def documents(path: Path) -> Iterator[dict[str, Any]]:
    yield from (one for one in yaml.safe_load_all(path.read_text()) if one)


def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    """Every object of base and overlay, by kind and name."""
    every = [one for path in sorted(BASE.glob("*.yaml")) + sorted(REPLICAS.glob("*.yaml")) for one in documents(path)]
    return {(one["kind"], one["metadata"]["name"]): one for one in every if one["kind"] != "Kustomization"}


def pod() -> dict[str, Any]:
    return manifests()["StatefulSet", "plumbline"]["spec"]["template"]["spec"]


def container(name: str) -> dict[str, Any]:
    return next(one for one in [*pod()["containers"], *pod()["initContainers"]] if one["name"] == name)


def variables() -> set[str]:
    """What the environment can set: every field of both settings."""
    fields = {f"PLUMBLINE_{name.upper()}" for name in SERVICE.model_fields}
    own = {
        name for name, field in MONITOR.model_fields.items() if not field.validation_alias
    }  # the others are in OTHERS
    return fields | OTHERS | {f"PLUMBLINE_MONITOR_{name.upper()}" for name in own}


# --- all of it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_variable_is_a_setting(path: Path) -> None:
    named = set(re.findall(r"PLUMBLINE_[A-Z_]+[A-Z]", path.read_text()))
    assert named <= variables() | COMPOSE_ONLY


def test_the_settings_that_are_deployed_are_valid_for_both() -> None:
    data = manifests()["ConfigMap", "plumbline-settings"]["data"]
    given = {name.removeprefix("PLUMBLINE_").lower(): value for name, value in data.items()}
    watching = {name.removeprefix("monitor_"): given.pop(name) for name in list(given) if name.startswith("monitor_")}
    assert SERVICE(**given).host == MONITOR(**watching).host == "0.0.0.0"


# --- compose ------------------------------------------------------------------------------------------------------


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_compose_fits_its_specification_and_a_wrong_field_does_not() -> None:
    assert problems_of_compose(compose()) == []
    assert problems_of_compose({"services": {"service": {"image": "plumbline", "read_onyl": True}}}) != []


def test_compose_mounts_what_is_beside_it_and_volumes_that_it_declares() -> None:
    for name, one in compose()["services"].items():
        for volume in one["volumes"]:
            source = volume.partition(":")[0]
            assert source.startswith("./") or source in compose()["volumes"], (name, volume)
    mounted = {
        volume.partition(":")[0]
        for one in compose()["services"].values()
        for volume in one["volumes"]
        if "./" in volume
    }
    grafana = {"./grafana/provisioning/datasources", "./grafana/provisioning/dashboards", "./grafana/dashboards"}
    assert mounted == {"./prometheus", "./alertmanager"} | grafana
    assert all((DEPLOY / source).is_dir() for source in mounted)


def test_compose_gives_the_service_the_time_that_it_takes_to_leave() -> None:
    assert int(compose()["services"]["service"]["stop_grace_period"].removesuffix("s")) > LEAVE_S


def test_compose_asks_for_the_health_of_what_listens_where_the_settings_say() -> None:
    asked = {
        name: " ".join(one["healthcheck"]["test"])
        for name, one in compose()["services"].items()
        if "healthcheck" in one
    }
    assert f"http://127.0.0.1:{SERVICE().port}/readyz" in asked["service"]
    assert f"http://127.0.0.1:{MONITOR().port}/healthz" in asked["monitor"]
    assert "/healthz" in keyed.OPEN


def asks_for_no_key(path: str) -> bool:
    """Whether the service answers everybody at this path, which is a route of its own."""
    target = parse(path)
    return target is not None and target.verb is not Verb.UNKNOWN and NEEDS[target.verb] is Need.NOTHING


def test_a_path_that_is_asked_by_whoever_has_no_key_answers_everybody() -> None:
    assert asks_for_no_key("/readyz") and asks_for_no_key("/livez") and not asks_for_no_key("/metrics")
    assert not asks_for_no_key("/ready")


def test_compose_lets_nobody_write_but_into_the_home() -> None:
    for name in ("service", "monitor", "prometheus", "alertmanager"):
        one = compose()["services"][name]
        assert one["read_only"] and one["cap_drop"] == ["ALL"] and "no-new-privileges:true" in one["security_opt"]


def test_compose_starts_only_what_serves_and_watches_unless_more_is_asked_for() -> None:
    asked = [name for name, one in compose()["services"].items() if not one.get("profiles")]
    assert asked == ["service", "monitor", "prometheus", "alertmanager"]


@pytest.mark.skipif(not (DEPLOY / "prometheus").is_dir(), reason="deploy/prometheus is not here")
def test_prometheus_and_alertmanager_are_asked_where_compose_starts_them() -> None:
    (told,) = documents(DEPLOY / "prometheus" / "prometheus.yml")
    scraped = {target for job in told["scrape_configs"] for one in job["static_configs"] for target in one["targets"]}
    assert {f"127.0.0.1:{SERVICE().port}", f"127.0.0.1:{MONITOR().port}"} <= scraped
    listens = "--web.listen-address="
    (address,) = [word for word in compose()["services"]["alertmanager"]["command"] if word.startswith(listens)]
    alerted = {
        target
        for manager in told["alerting"]["alertmanagers"]
        for one in manager["static_configs"]
        for target in one["targets"]
    }
    assert alerted == {address.removeprefix(listens)}
    assert (DEPLOY / "alertmanager" / "alertmanager.yml").is_file()


# --- kubernetes ---------------------------------------------------------------------------------------------------


def test_every_manifest_fits_its_schema_and_a_wrong_field_does_not() -> None:
    assert {kind for kind, _ in manifests()} == {
        "ConfigMap", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Service", "StatefulSet",
    }  # fmt: skip
    for one in manifests().values():
        assert problems_of_manifest(one) == [], one["metadata"]["name"]
    wrong = manifests()["StatefulSet", "plumbline"]
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    assert problems_of_manifest(wrong) != []


@pytest.mark.parametrize("folder", [BASE, REPLICAS], ids=lambda folder: folder.name)
def test_every_file_that_is_named_is_there(folder: Path) -> None:
    (told,) = documents(folder / "kustomization.yaml")
    generated = [file for one in told.get("configMapGenerator", ()) for file in one["files"]]
    assert all((folder / name).exists() for name in [*told["resources"], *generated])
    assert {path.name for path in folder.iterdir()} == {"kustomization.yaml", *generated, *told["resources"]} - {
        "../../base"
    }


def test_every_patch_finds_its_place() -> None:
    (told,) = documents(REPLICAS / "kustomization.yaml")
    for patch in told["patches"]:
        target = manifests()[patch["target"]["kind"], patch["target"]["name"]]
        for change in yaml.safe_load(patch["patch"]):
            *way, last = change["path"].strip("/").split("/")
            place: Any = target
            for step in way:
                place = place[int(step) if isinstance(place, list) else step]
            assert change["op"] == "add" or last in place, change


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed: kustomize itself is not asked")
@pytest.mark.parametrize("folder", [BASE, REPLICAS], ids=lambda folder: folder.name)
def test_what_kustomize_makes_of_it_fits_the_schemas(folder: Path) -> None:
    done = subprocess.run(["kubectl", "kustomize", str(folder)], check=True, capture_output=True, text=True)
    made = [one for one in yaml.safe_load_all(done.stdout) if one]
    assert len(made) >= 6
    assert [problem for one in made for problem in problems_of_manifest(one)] == []


def test_the_probes_ask_for_routes_that_need_no_key() -> None:
    asked = {
        (name, probe): container(name)[probe]["httpGet"]["path"]
        for name in ("service", "monitor")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        if probe in container(name)
    }
    assert asked == {
        ("service", "startupProbe"): "/livez",
        ("service", "readinessProbe"): "/readyz",
        ("service", "livenessProbe"): "/livez",
        ("monitor", "livenessProbe"): "/healthz",
    }
    assert all(asks_for_no_key(path) for (name, _), path in asked.items() if name == "service")


def test_ports_are_those_of_the_settings_under_the_names_that_are_used() -> None:
    ports = {
        port["name"]: port["containerPort"] for name in ("service", "monitor") for port in container(name)["ports"]
    }
    assert ports == {"http": SERVICE().port, "monitor": MONITOR().port}
    for name in ("plumbline", "plumbline-pods"):
        for port in manifests()["Service", name]["spec"]["ports"]:
            assert port["port"] == ports[port["targetPort"]]
    named = {
        port["port"] for rule in manifests()["NetworkPolicy", "plumbline"]["spec"]["ingress"] for port in rule["ports"]
    }
    assert named == set(ports)


def test_a_pod_has_the_time_that_the_service_takes_to_leave() -> None:
    assert pod()["terminationGracePeriodSeconds"] > LEAVE_S
    probe = container("service")["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < SERVICE().drain_s


def test_a_pod_is_confined() -> None:
    context = pod()["securityContext"]
    assert context["runAsNonRoot"] and context["runAsUser"] == context["fsGroup"] == IMAGE_UID
    assert f"USER {IMAGE_UID}:{IMAGE_UID}" in (ROOT / "Dockerfile").read_text()
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod()["automountServiceAccountToken"] is False
    for one in [*pod()["containers"], *pod()["initContainers"]]:
        own = one["securityContext"]
        assert own["readOnlyRootFilesystem"] and own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(one["resources"]["requests"]) and "memory" in one["resources"]["limits"]


def test_a_service_of_our_name_sets_no_variable_of_ours() -> None:
    """Kubernetes would say PLUMBLINE_PORT=tcp://…, and the service would refuse to start."""
    assert ("Service", "plumbline") in manifests()
    assert pod()["enableServiceLinks"] is False


def test_service_and_monitor_share_the_home_that_is_claimed_and_it_holds_what_the_settings_allow() -> None:
    homes = [
        mount["mountPath"]
        for name in ("service", "monitor", "furnish")
        for mount in container(name)["volumeMounts"]
        if mount["name"] == "home"
    ]
    assert set(homes) == {"/var/lib/plumbline"} and len(homes) == 3
    assert "PLUMBLINE_HOME=/var/lib/plumbline" in (ROOT / "Dockerfile").read_text()
    (claim,) = manifests()["StatefulSet", "plumbline"]["spec"]["volumeClaimTemplates"]
    room = int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) << 30
    data = manifests()["ConfigMap", "plumbline-settings"]["data"]
    used = int(data["PLUMBLINE_LOG_RAW_BYTES_MAX"]) + int(data["PLUMBLINE_ARCHIVE_BYTES_MAX"])
    assert used + SERVICE().log_segment_bytes_max < room


def test_a_new_home_is_furnished_and_one_that_has_its_own_is_left_alone(tmp_path: Path) -> None:
    home, models = tmp_path / "home", tmp_path / "models"
    home.mkdir()
    shell, flag, script = container("furnish")["command"]
    command = [shell, flag, script.replace("/var/lib/plumbline", str(home)).replace("/models", str(models))]
    subprocess.run(command, check=True)
    assert list(home.iterdir()) == [], "no ConfigMap: the demo models come at the start"
    models.mkdir()
    (models / "routes.toml").write_text("new")
    (models / "models.lock.toml").write_text("new")
    (home / "routes.toml").write_text("its own")
    subprocess.run(command, check=True)
    assert (home / "routes.toml").read_text() == "its own"
    assert (home / "models.lock.toml").read_text() == "new"


def test_memory_holds_a_worker_its_bodies_its_queue_and_a_first_run() -> None:
    limit = int(container("service")["resources"]["limits"]["memory"].removesuffix("Gi")) << 30
    trial = int(manifests()["ConfigMap", "plumbline-settings"]["data"]["PLUMBLINE_TRIAL_MEMORY_BYTES_MAX"])
    assert trial + SERVICE().max_unfinished_bytes + SERVICE().max_queue_bytes < limit


def test_selectors_choose_the_pods_and_nothing_else() -> None:
    labels = manifests()["StatefulSet", "plumbline"]["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app.kubernetes.io/name": "plumbline"}
    assert manifests()["StatefulSet", "plumbline"]["spec"]["selector"] == {"matchLabels": labels}
    assert manifests()["PodDisruptionBudget", "plumbline"]["spec"]["selector"] == {"matchLabels": labels}
    assert manifests()["NetworkPolicy", "plumbline"]["spec"]["podSelector"] == {"matchLabels": labels}
    assert all(manifests()["Service", name]["spec"]["selector"] == labels for name in ("plumbline", "plumbline-pods"))


def test_the_autoscaler_asks_for_a_metric_that_is_made_and_a_container_that_is_there() -> None:
    text = (REPLICAS / "autoscaler.yaml").read_text()
    asked = manifests()["HorizontalPodAutoscaler", "plumbline"]["spec"]
    assert asked["scaleTargetRef"]["kind"] == "StatefulSet"
    base = "plumbline_request_queue_seconds"
    assert f"`{base}` | histogram" in (ROOT / "docs" / "reference.md").read_text()
    assert {f"{base}_sum", f"{base}_count"} <= set(re.findall(r"plumbline_[a-z_]+", text))
    (queue, cpu) = asked["metrics"]
    assert f"as: {queue['pods']['metric']['name']}" in text
    assert cpu["containerResource"]["container"] == container("service")["name"]


def test_the_documents_of_the_overlay_are_valid_and_fit_each_other() -> None:
    lock = Lock.decode((REPLICAS / "models.lock.toml").read_text(), "models.lock.toml")
    routes = Routes.decode((REPLICAS / "routes.toml").read_text())
    pinned = {(pin.name, pin.version) for pin in lock.pins}
    assert {(model, entry.stable) for model, entry in routes.models.items()} == pinned
    assert all(pin.source.startswith(("oci:", "mlflow:")) for pin in lock.pins), "every pod must reach it"


# --- systemd ------------------------------------------------------------------------------------------------------


def unit(path: Path) -> dict[str, list[str]]:
    """Its directives by name; a directive may stand more than once."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_starts_a_command_that_there_is(path: Path) -> None:
    for line in [*unit(path)["ExecStart"], *unit(path).get("ExecReload", [])]:
        words = line.removeprefix("/opt/plumbline/bin/plumbline ").split()
        assert words[words.index("--home") + 1] == f"/var/lib/{unit(path)['StateDirectory'][0]}"
        done = CliRunner().invoke(main, [*words, "--help"])
        assert done.exit_code == 0, done.output
    assert line.split()[0] == "/opt/plumbline/bin/plumbline"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_is_confined(path: Path) -> None:
    told = unit(path)
    for name in (
        "NoNewPrivileges",
        "ProtectHome",
        "PrivateTmp",
        "PrivateDevices",
        "RestrictNamespaces",
        "LockPersonality",
    ):
        assert told[name] == ["true"], name
    assert told["ProtectSystem"] == ["strict"] and told["CapabilityBoundingSet"] == [""]
    assert told["User"] == ["plumbline"]


def test_the_units_agree_with_the_page_and_the_settings() -> None:
    told = unit(DEPLOY / "systemd" / "plumbline-service.service")
    assert int(told["TimeoutStopSec"][0]) > LEAVE_S
    assert int(told["LimitNOFILE"][0]) >= 2 * SERVICE().max_connections + SPARE_DESCRIPTORS
    block = re.search(r"```ini\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)
    assert block is not None
    for line in block[1].splitlines():
        if "=" in line:
            name, _, value = line.partition("=")
            assert value in told[name], line


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here: its own check is not asked")
def test_systemd_accepts_the_units_and_finds_them_confined(tmp_path: Path) -> None:
    for path in UNITS:  # the program need not be installed where the test runs
        (tmp_path / path.name).write_text(path.read_text().replace("/opt/plumbline/bin/plumbline", "/bin/true"))
    copies = [str(tmp_path / path.name) for path in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *copies], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    for copy in copies:
        rate = ["systemd-analyze", "security", "--offline=true", "--threshold=40", copy]
        done = subprocess.run(rate, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
