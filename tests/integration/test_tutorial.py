"""The tutorial happens as it stands: its blocks are run in their order, and print what the page says."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.documents import Step, missing, steps
from tests.processes import ROOT, Process, answers, environment, free_port

pytestmark = pytest.mark.integration

PAGE = (ROOT / "docs" / "tutorial.md").read_text()
READY_S, SAID_S, BLOCK_S = 60.0, 60.0, 300.0
TOKEN = "PLUMBLINE_ADMIN_TOKEN"
INSTALLED = "pip install"  # the tests have those packages
UP = "plumbline up"


def run(commands: str, place: Path, env: dict[str, str]) -> str:
    """What a reader's shell prints."""
    done = subprocess.run(
        ["/bin/bash", "-ec", commands], cwd=place, env=env, capture_output=True, text=True, timeout=BLOCK_S, check=False
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout


def follow(step: Step, place: Path, env: dict[str, str]) -> None:
    """Runs a block; its last command again where the monitor, which reads the log behind the requests, has not come so far."""
    output, end_s = run(step.commands, place, env), time.monotonic() + SAID_S
    last = step.commands.replace("\\\n", " ").splitlines()[-1]
    while (line := missing(step.printed, output)) is not None:
        assert time.monotonic() < end_s, f"{step.commands}\nprinted\n{output}\nand not {line!r}"
        output += run(last, place, env)


def test_a_reader_of_the_tutorial_sees_what_it_says(tmp_path: Path) -> None:
    port, monitor_port = free_port(), free_port()
    page = PAGE.replace(":3000", f":{port}").replace(":3001", f":{monitor_port}")
    for name in ("docs", "requirements-dev.lock"):
        (tmp_path / name).symlink_to(ROOT / name)
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name in ("python", "plumbline"):
        (binaries / name).write_text(
            f'#!/bin/sh\nexec "{sys.executable}" {"-m plumbline " if name == "plumbline" else ""}"$@"\n'
        )
        (binaries / name).chmod(0o755)
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = environment(
        **{TOKEN: "a-secret-of-your-own"},
        DELIVERIES_URL=f"http://127.0.0.1:{port}",
        PLUMBLINE_MONITOR_SERVICE_URL=f"http://127.0.0.1:{port}",
        PYTHONPATH=paths,
    )
    todo = [step for step in steps(page) if INSTALLED not in step.commands]
    begins = next(place for place, step in enumerate(todo) if UP in step.commands)
    for step in todo[:begins]:
        follow(step, tmp_path, env)
    argv = [*re.split(r"\s+", todo[begins].commands.strip()), "--port", str(port), "--monitor-port", str(monitor_port)]
    with Process(argv, env=env, cwd=tmp_path) as up:
        up.wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), READY_S, "the service is ready")
        up.wait_until(lambda: answers(f"http://127.0.0.1:{monitor_port}/healthz"), READY_S, "the monitor is there")
        for step in todo[begins + 1 :]:
            follow(step, tmp_path, env)
