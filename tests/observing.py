"""Real ones of those who observe a Plumbline: Prometheus and Alertmanager, Debian's, with the files of deploy/."""

import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml

from tests.processes import ROOT, answers, free_port, wait_until

DEADLINE_S = 120.0
RULES = ROOT / "deploy" / "prometheus"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
SHIPPED_RECEIVERS = "http://127.0.0.1:9099/"
LOOK_MS = 300  # between scrapes, and between looks at the rules


class Target(NamedTuple):
    """What is scraped: of which job and home, and with which API key."""

    job: str
    home: str
    url: str
    key: str = ""


def runs(program: str, *arguments: str | Path) -> str:
    """What it says on stdout; it must be there and end well."""
    found = shutil.which(program)
    assert found, f"{program}: expected the Debian package (.ci/packages installs it)"
    ran = subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def rules_of(name: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load((RULES / name).read_text())["groups"] for rule in group["rules"]]


@contextmanager
def _process(program: str, *arguments: str, ready: str, log: Path) -> Iterator[None]:
    found = shutil.which(program)
    assert found, f"{program}: expected the Debian package (.ci/packages installs it)"
    with log.open("wb") as sink:
        process = subprocess.Popen([found, *arguments], stdout=sink, stderr=sink)
    try:
        wait_until(lambda: answers(ready), DEADLINE_S, f"{program} is ready ({log})")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE_S)


@contextmanager
def alertmanager(folder: Path, url: str) -> Iterator[str]:
    """Its url; the shipped configuration, with this receiver and without its waits."""
    shipped = ALERTMANAGER.read_text()
    assert SHIPPED_RECEIVERS in shipped
    quick = re.sub(r"group_(wait|interval): \w+", r"group_\1: 1s", shipped.replace(SHIPPED_RECEIVERS, url))
    configuration, place = folder / "alertmanager.yml", f"127.0.0.1:{free_port()}"
    configuration.write_text(quick)
    with _process(
        "prometheus-alertmanager",
        f"--config.file={configuration}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={place}",
        "--cluster.listen-address=",
        ready=f"http://{place}/-/ready",
        log=folder / "alertmanager.log",
    ):
        yield f"http://{place}"


@contextmanager
def prometheus(folder: Path, alerts: str, targets: Sequence[Target], change: Callable[[str], str]) -> Iterator[str]:
    """Its url, for as long as the block; the shipped rules, each file after `change`, and `alerts` is who is told."""
    folder.mkdir()
    (folder / "prometheus.yml").write_text(yaml.safe_dump(_configuration(alerts, targets)))
    for name in ("recording.yml", "alerts.yml"):
        (folder / name).write_text(change((RULES / name).read_text()))
    place = f"127.0.0.1:{free_port()}"
    with _process(
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={place}",
        ready=f"http://{place}/-/ready",
        log=folder / "prometheus.log",
    ):
        yield f"http://{place}"


def _configuration(alerts: str, targets: Sequence[Target]) -> dict[str, Any]:
    """A job an API key: a configuration has one for all targets of a job, and the label of a target wins over its name."""
    keys = sorted({target.key for target in targets})
    return {
        "global": {"scrape_interval": f"{LOOK_MS}ms", "evaluation_interval": f"{LOOK_MS}ms"},
        "rule_files": ["recording.yml", "alerts.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [_address(alerts)]}]}]},
        "scrape_configs": [
            {
                "job_name": f"key-{number}",
                **({"authorization": {"credentials": key}} if key else {}),
                "static_configs": [
                    {"targets": [_address(one.url)], "labels": {"job": one.job, "home": one.home}}
                    for one in targets
                    if one.key == key
                ],
            }
            for number, key in enumerate(keys)
        ],
    }


def _address(url: str) -> str:
    return url.removeprefix("http://")


def query(at: str, expression: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{at}/api/v1/query", params={"query": expression}, trust_env=False).json()
    assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def query_range(at: str, expression: str, begin_s: float, end_s: float, step_s: float) -> list[dict[str, str]]:
    """The labels of every series that an expression had in a span."""
    asked = {"query": expression, "start": begin_s, "end": end_s, "step": step_s}
    answer = httpx.get(f"{at}/api/v1/query_range", params=asked, trust_env=False, timeout=DEADLINE_S).json()
    assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
    return [series["metric"] for series in answer["data"]["result"]]


def rules_seen(at: str) -> list[dict[str, Any]]:
    """Every rule as Prometheus has it, with its health."""
    groups = httpx.get(f"{at}/api/v1/rules", trust_env=False).json()["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]
