"""What is wrong with the key of a request: to a service that asks for keys and has those of KEYS."""

from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256

from models.keys import Key, Keys
from tests.bad_inputs.row import EMPTY, GOOD, V1, Bad
from tests.keys import NOW

SETTINGS = {"PLUMBLINE_API_KEYS": "required"}


def _text(identifier: str) -> str:
    return f"plk_{identifier}_{'0' * 64}"


def _key(identifier: str, *scopes: str, **given: object) -> Key:
    digest = sha256(_text(identifier).encode()).hexdigest()
    return Key(id=identifier, name="tester", sha256=digest, scopes=scopes, created=NOW, **given)  # type: ignore[arg-type]


PREDICTS, OTHER, EXPIRED, REVOKED, FEW = "00000001", "00000002", "00000003", "00000004", "00000005"
KEYS = Keys(
    (
        _key(PREDICTS, "predict:payments"),
        _key(OTHER, "predict:tumours"),
        _key(EXPIRED, "predict", expires=NOW - timedelta(days=1)),
        _key(REVOKED, "predict", revoked=NOW),
        _key(FEW, "predict", rows_per_s=0.0001, burst_rows=1),
    )
)


def _with(identifier: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {_text(identifier)}"}


_LIVE = "expected a live one of `plumbline keys list`; nothing was done"
KEYED = (
    Bad(
        "no key",
        V1,
        GOOD,
        401,
        "key_missing",
        "API key: found none, expected 'Authorization: Bearer <key>' or 'x-api-key: <key>'; nothing was done",
    ),
    Bad(
        "a guess",
        V1,
        GOOD,
        401,
        "key_refused",
        f"API key: not known here, {_LIVE}",
        headers={"x-api-key": "guess"},
    ),
    Bad(
        "a key that has expired",
        V1,
        GOOD,
        401,
        "key_refused",
        f"API key {EXPIRED}: has expired, {_LIVE}",
        headers=_with(EXPIRED),
    ),
    Bad(
        "a key that was revoked",
        V1,
        GOOD,
        401,
        "key_refused",
        f"API key {REVOKED}: was revoked, {_LIVE}",
        headers=_with(REVOKED),
    ),
    Bad(
        "a key of another model",
        V1,
        GOOD,
        403,
        "scope_missing",
        f"API key {OTHER}: opens predict:tumours, expected predict:payments; nothing was done",
        headers=_with(OTHER),
    ),
    Bad(
        "a key that predicts and does not read",
        "/metrics",
        EMPTY,
        403,
        "scope_missing",
        f"API key {PREDICTS}: opens predict:payments, expected read; nothing was done",
        method="GET",
        headers=_with(PREDICTS),
    ),
    Bad("a key with one row left", V1, GOOD, 200, "", headers=_with(FEW)),
    Bad(
        "a key that has used its rows",
        V1,
        GOOD,
        429,
        "rate_limited",
        f"API key {FEW}: its 0.0001 rows/s are used up, expected a request after `retry-after`; nothing was predicted",
        headers=_with(FEW),
    ),
)
