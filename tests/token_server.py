"""A token server as big registries have one: signs what it grants, and the registry believes its certificate."""

import json
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt

from tests.oci_registry import PASSWORD, USER
from tests.scripted import Asked, Scripted, scripted

SERVICE = ISSUER = "test"
FIRST_S, LAST_S = 0, 4_102_444_800  # 1970 to 2100: no test depends on the clock
BASIC = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@contextmanager
def token_server(place: Path) -> Iterator[tuple[Scripted, str]]:
    """The server, and the block of configuration of a registry that trusts it. USER may push, anybody may pull."""
    place.mkdir(exist_ok=True)
    key, cert = place / "token.key", place / "token.crt"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=x",
    ]
    subprocess.run([*made, "-keyout", key, "-out", cert, "-days", "1"], check=True, capture_output=True, timeout=60)
    der = "".join(line for line in cert.read_text().splitlines() if "-" not in line)

    def grant(one: Asked) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(one.path).query).items()}
        known = one.headers.get("authorization") == BASIC
        claims = _claims(asked, "pull,push" if known else "pull")
        token = jwt.encode(claims, key.read_text(), algorithm="ES256", headers={"x5c": [der]})
        one.reply(200, json.dumps({"token": token}).encode())

    with scripted(grant) as server:
        realm = f"http://{server.host}/token"
        yield (
            server,
            f'auth: {{token: {{realm: "{realm}", service: {SERVICE}, issuer: {ISSUER}, rootcertbundle: "{cert}"}}}}\n',
        )


def _claims(asked: dict[str, str], allowed: str) -> dict[str, Any]:
    kind, name, actions = asked["scope"].split(":")
    granted = [action for action in actions.split(",") if action in allowed.split(",")]
    access = [{"type": kind, "name": name, "actions": granted}]
    times = {"iat": FIRST_S, "nbf": FIRST_S, "exp": LAST_S}
    return {"iss": ISSUER, "aud": asked["service"], "sub": "x", "jti": "1", "access": access, **times}
