"""Do the receivers answer? A connection and its handshake, all at once; nothing is ever sent."""

import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from models.finding import Finding, bad, ok
from models.machine import connect
from monitoring.dispatch.receiver_settings import RECEIVERS_MAX
from monitoring.errors import SettingsInvalid
from monitoring.settings import Settings
from monitoring.webhook import is_loopback_host, public

WITHIN_S = 5.0  # a handshake across the world takes less than one
_EXPECTED = "a host that answers"


class _Asked(NamedTuple):
    name: str
    url: Callable[[], str]
    trusted: Callable[[], ssl.SSLContext | None]
    private: bool | None  # whether private addresses may be called; None: only where the url names loopback
    secrets: tuple[Callable[[], object], ...]


def receivers(settings: Settings) -> Iterator[Finding]:
    """One finding a receiver; none where none is set."""
    asked = list(_asked(settings))
    if asked:
        with ThreadPoolExecutor(max_workers=RECEIVERS_MAX) as pool:
            yield from pool.map(_look, asked)


def _asked(settings: Settings) -> Iterator[_Asked]:
    if (url := settings.webhook_url) is not None:
        private = settings.webhook_allow_private_addresses
        yield _Asked("webhook", lambda: url, lambda: None, private, (lambda: _signing(settings),))
    for one in settings.receivers:
        secrets = (one.secret, one.authorization, one.all_headers)
        yield _Asked(one.name, one.address, one.trusted, one.allow_private_addresses, secrets)


def _signing(settings: Settings) -> str:
    if (secret := settings.secret()) is None:
        raise SettingsInvalid(
            "webhook_url", "no secret", "PLUMBLINE_WEBHOOK_SECRET or webhook_secret_file to sign with"
        )
    return secret


def _look(asked: _Asked) -> Finding:
    check = f"receiver {asked.name}"
    try:
        for secret in asked.secrets:
            secret()
        parts, trusted = urlsplit(asked.url()), asked.trusted()
    except SettingsInvalid as error:
        return bad(check, str(error), "a url and the secrets that it needs", "write them where the settings name them")
    host, tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    at = f"{host}:{port}"
    try:
        if (refused := _private(host, port, asked.private)) is not None:
            advice = "allow_private_addresses = true, if it is meant to be called"
            return bad(check, f"{at} is {refused}, a private address that the monitor does not call", _EXPECTED, advice)
        connect(host, port, WITHIN_S, (trusted or ssl.create_default_context()) if tls else None)
    except OSError as error:  # ssl.SSLError, TimeoutError and socket.gaierror are
        return bad(check, f"{at}: {error}", _EXPECTED, f"curl -sv --max-time 5 {parts.scheme}://{at} -o /dev/null")
    return ok(check, f"{at} answers" + (" with a certificate that is trusted" if tls else ""), _EXPECTED)


def _private(host: str, port: int, allowed: bool | None) -> str | None:
    """The address for which the monitor would not call this host. Raises OSError."""
    if is_loopback_host(host) if allowed is None else allowed:
        return None
    found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    return next((one for one in sorted(found) if not public(ip_address(one.partition("%")[0]))), None)
