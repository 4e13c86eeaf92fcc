"""What does the monitor's side of a home look like: its port, secrets, receivers and checkpoint?"""

import os
import time
from collections.abc import Callable, Iterable, Iterator

import httpx

from models.finding import Finding, bad, looked, ok
from models.machine import port_of, secret_of
from models.unread import unread
from monitoring.checkpoint import NAME, read_checkpoint
from monitoring.doctor.behind import CHECK, behind
from monitoring.doctor.receivers import receivers
from monitoring.errors import CheckpointInvalid
from monitoring.settings import Settings
from service.featurelog.reader import LogReader

HEALTH_WITHIN_S = 3.0
PREFIX = "PLUMBLINE_MONITOR_"


def look(settings: Settings) -> list[Finding]:
    """Every check; none raises."""
    runs: list[bool] = []
    checks: dict[str, Callable[[], Iterable[Finding]]] = {
        "monitor environment": _environment,
        "monitor port": lambda: _port(settings, runs),
        "monitor secrets": lambda: _secrets(settings),
        "receivers": lambda: receivers(settings),
        CHECK: lambda: _checkpoint(settings, runs=bool(runs)),
    }
    return [finding for check, one in checks.items() for finding in looked(check, one)]


def _environment() -> Iterator[Finding]:
    known = [f"{PREFIX}{name.upper()}" for name, field in Settings.model_fields.items() if not field.validation_alias]
    yield from unread("monitor environment", [name for name in os.environ if name.startswith(PREFIX)], known)


def _port(settings: Settings, runs: list[bool]) -> Iterator[Finding]:
    """Who has the port; `runs` is appended to where it is a monitor, whose health is a finding of its own."""
    health = None if settings.port == 0 else _health(settings)
    holder = "" if health is None else "a monitor"
    yield port_of("monitor port", settings.host, settings.port, holder, "port in [monitor], or --monitor-port")
    if health is not None:
        runs.append(True)
        expected = "a monitor whose last good tick is not old"
        if health["healthy"]:
            yield ok("monitor health", "healthy", expected)
        else:
            yield bad("monitor health", str(health.get("reason")), expected, "read the monitor's log, restart it")


def _health(settings: Settings) -> dict[str, object] | None:
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # a comparison, nothing is bound here
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}/healthz"
    try:
        said = httpx.get(url, timeout=HEALTH_WITHIN_S, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return None
    return said if isinstance(said, dict) and "healthy" in said else None


def _secrets(settings: Settings) -> Iterator[Finding]:
    named = {"webhook_secret_file": settings.webhook_secret_file, "admin_token_file": settings.admin_token_file}
    for one in settings.receivers:
        for what, path in (
            ("url_file", one.url_file),
            ("secret_file", one.secret_file),
            ("token_file", one.token_file),
            *((f"headers_file.{header}", path) for header, path in one.headers_file.items()),
        ):
            named[f"{one.name} {what}"] = path
    for check, path in named.items():
        if path is not None:
            yield secret_of(check, path)


def _checkpoint(settings: Settings, *, runs: bool) -> Iterator[Finding]:
    path = settings.home / "monitor" / NAME
    try:
        positions, _ = read_checkpoint(path.parent, settings.rules())
        age_s = time.time() - path.stat().st_mtime if positions else None
    except CheckpointInvalid as error:
        advice = "plumbline monitor: it puts this one aside and reads what is left of the log again"
        yield bad(CHECK, str(error), "a checkpoint that can be read", advice)
        return
    reader = LogReader(settings.home / "log", positions)
    waiting_bytes = reader.lag_bytes()
    first = next((record.at_us for run in reader.read(1).runs for _, record in run.records), None)
    yield behind(
        age_s=age_s,
        waiting_bytes=waiting_bytes,
        waiting_s=None if first is None else time.time() - first / 1e6,
        runs=runs,
        allowed_s=settings.healthy_tick_age_s + settings.checkpoint_interval_s,
    )
