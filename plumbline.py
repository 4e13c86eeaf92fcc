"""The front door: the `plumbline` command, one line a subcommand, and `up`, the supervisor of service and monitor.

A subcommand is imported when it is called, by name from the table below: the monitor starts where bentoml and onnxruntime are
not installed, and `--help` answers at once.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import click
import httpx

from models.example import example_body
from service.commands.lazy import LazyGroup
from service.release import RELEASE

COMMANDS = {
    "serve": ("service.commands.serve:serve", "The service alone."),
    "reload": ("service.commands.reload:reload", "Replace the service's workers, without a failed request."),
    "monitor": ("monitoring.cli:monitor", "The monitor alone; replay of a piece of the log."),
    "models": ("service.commands.models:models", "Register, pin and verify model versions."),
    "routes": ("service.commands.routes:routes", "Show and change which versions answer."),
    "shadows": ("monitoring.shadows.command:shadows", "How shadows compare with the answers that were given."),
    "rollout": (
        "monitoring.rollout.command:rollout",
        "What the evidence says about a canary; start, pause, promote, abort.",
    ),
    "keys": ("service.commands.keys:keys", "Make, change and revoke API keys."),
    "log": ("service.commands.log:log", "Read and check the feature log."),
    "doctor": ("service.commands.doctor:doctor", "Is this machine fit to serve?"),
}
READY_WITHIN_S = 60  # a cold start with two demo models takes about 4 s on two busy cores
# Then what is left is killed: the service needs drain_s + grace_s, 20 s by default, and seals its log.
STOP_WITHIN_S = 30
RESTART_AFTER_S = (0.5, 1, 2, 5, 10)  # a part that keeps dying is started ever more slowly, never given up
LOOK_EVERY_S = 0.2
USED_WRONGLY, CANNOT = 2, 3  # exit codes of a part that would end the same way again: it has said why


class GaveUp(Exception):
    """A part cannot run here; starting it again would change nothing."""

    def __init__(self, part: str, code: int) -> None:
        super().__init__(part, code)
        self.part, self.code = part, code

    def __str__(self) -> str:
        return f"the {self.part} cannot run here, it said why above (exit code {self.code})"


@click.group(cls=LazyGroup, members=COMMANDS)
@click.version_option(RELEASE)
def main() -> None:
    """Plumbline: model serving that knows when it drifts.

    \b
    plumbline up                 service and monitor, with the demo models if nothing is pinned
    plumbline models add …       bring your own
    plumbline log verify         is every answer accounted for?
    """


class Part:
    """One child process that is kept running: started again, ever more slowly, when it dies."""

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str]) -> None:
        self.name, self._arguments, self._environment = name, arguments, environment
        self._deaths = 0
        self._start_at_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def keep(self) -> None:
        """Starts the process when it is not running and its pause is over. Raises GaveUp."""
        if self._process is not None and (code := self._process.poll()) is not None:
            if code in (USED_WRONGLY, CANNOT):
                raise GaveUp(self.name, code)
            pause_s = RESTART_AFTER_S[min(self._deaths, len(RESTART_AFTER_S) - 1)]
            click.echo(f"plumbline: {self.name} ended with {code}, starting it again in {pause_s:g} s", err=True)
            self._process, self._deaths, self._start_at_s = None, self._deaths + 1, time.monotonic() + pause_s
        if self._process is None and time.monotonic() >= self._start_at_s:
            command = [sys.executable, "-m", "plumbline", *self._arguments]
            # its own session: Ctrl-C reaches us alone, and we stop the parts in order
            self._process = subprocess.Popen(command, env=self._environment, start_new_session=True)

    def signal(self, number: int) -> None:
        """Nothing where it does not run."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self, number: int, deadline_s: float) -> None:
        """This signal, and SIGKILL at the deadline."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(max(0.1, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class Stop:
    """What signals ask of `up`: SIGTERM and SIGINT end the parts as they do alone, twice: at once; SIGHUP is the service's."""

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts
        self._on_terminal = os.isatty(0)
        self.number: int = signal.SIGTERM
        self.asked = threading.Event()

    def told(self, number: int) -> None:
        """A SIGHUP from a terminal that was closed means stop."""
        if number == signal.SIGHUP and not (self._on_terminal and not os.isatty(0)):
            self._parts[0].signal(number)
        elif self.asked.is_set():
            for part in self._parts:
                part.signal(number)
        else:
            self.number = signal.SIGTERM if number == signal.SIGTERM else signal.SIGINT
            self.asked.set()


@main.command()
@click.option("--home", type=click.Path(path_type=Path), default=None, help="Directory of everything that changes.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that both ports bind.")
@click.option("--port", default=3000, show_default=True, help="Port of the service.")
@click.option("--monitor-port", default=3001, show_default=True, help="Port of the monitor.")
@click.option("--workers", default=1, show_default=True, help="Worker processes of the service.")
def up(home: Path | None, host: str, port: int, monitor_port: int, workers: int) -> None:
    """Run service and monitor until Ctrl-C, with the demo models if nothing else is pinned.

    \b
    plumbline up --workers 2
    """
    place = (home or Path(os.environ.get("PLUMBLINE_HOME", ".plumbline"))).absolute()
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # a comparison, nothing is bound here
    service_url = f"http://{shown}:{port}"
    environment = {**os.environ, "PLUMBLINE_HOME": str(place), "PLUMBLINE_MONITOR_SERVICE_URL": service_url}
    common = ["--home", str(place), "--host", host]
    parts = [
        Part("service", ["serve", *common, "--port", str(port), "--workers", str(workers)], environment),
        Part("monitor", ["monitor", *common, "--monitor-port", str(monitor_port)], environment),
    ]
    stop = Stop(parts)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: stop.told(number))
    try:
        _keep_up(parts, stop.asked, place, service_url, f"http://{shown}:{monitor_port}")
    except GaveUp as error:
        click.echo(f"plumbline: {error}", err=True)
        raise SystemExit(error.code) from error
    finally:
        click.echo("plumbline: stopping", err=True)
        deadline_s = time.monotonic() + STOP_WITHIN_S
        for part in parts:  # the service first: the monitor still reads what it writes on its way out
            part.stop(stop.number, deadline_s)


def _keep_up(parts: list[Part], stop: threading.Event, home: Path, service: str, monitor: str) -> None:
    """Keeps the parts running until `stop`; says once that they are up, or once that they are not. Raises GaveUp."""
    announced, started_s = False, time.monotonic()
    while not stop.wait(LOOK_EVERY_S):
        for part in parts:
            part.keep()
        if not announced and _answers(f"{service}/readyz") and _answers(f"{monitor}/healthz"):
            announced = True
            click.echo("\n".join(_announcement(home, service, monitor, time.monotonic() - started_s)))
        elif not announced and time.monotonic() - started_s > READY_WITHIN_S:
            started_s = float("inf")
            click.echo(f"plumbline: not ready after {READY_WITHIN_S} s; {service}/readyz says why", err=True)


def _answers(url: str, status: int = 200) -> bool:
    try:
        return httpx.get(url, timeout=1, trust_env=False).status_code == status
    except httpx.HTTPError:
        return False


def _announcement(home: Path, service: str, monitor: str, took_s: float) -> Iterator[str]:
    yield f"\nplumbline is up after {took_s:.1f} s; everything that changes is in {home}"
    yield f"  service  {service}   (/readyz, /metrics)"
    yield f"  monitor  {monitor}   (the console at /, /api/status, /metrics)"
    if asks := _answers(f"{service}/metrics", 401):
        yield f"\nothers reach it, so it asks for API keys:\n  KEY=$(plumbline keys add first --scope predict --home {home})"
    if (example := example_body(home)) is not None:
        model, body = example
        key = ' -H "authorization: Bearer $KEY"' if asks else ""
        yield "\ntry:"
        yield f"  curl -s {service}/v1/models/{model}:predict{key} -H 'content-type: application/json' -d '{body}'"
    yield "\nCtrl-C stops everything.\n"


if __name__ == "__main__":
    main()
