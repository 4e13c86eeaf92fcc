"""What is wrong with a change of the routes; the demo models are routed as they are shipped, `payments` in versions 1 and 2."""

from collections.abc import Mapping

from tests.bad_inputs.limits import TOKEN
from tests.bad_inputs.row import EMPTY, Bad, text

_ADMIN = {"authorization": f"Bearer {TOKEN}"}
_CHANGE, _ALL = "/admin/routes/payments", "/admin/routes"
_ORDER = 'an object with "do": "set", "canary", "promote", "abort" or "rollback"'
_STAYS = "the routes stay as they were"


def _bad(
    what: str,
    body: str,
    status: int,
    code: str,
    error: str,
    *,
    path: str = _CHANGE,
    method: str = "POST",
    details: tuple[tuple[str, str], ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Bad:
    return Bad(what, path, text(body), status, code, error, details, method, {**_ADMIN, **(headers or {})})


CHANGES = (
    _bad("no body", "", 400, "malformed_body", f"body: found nothing, expected {_ORDER}; nothing was done"),
    _bad(
        "an order that is none",
        '{"do": "raise"}',
        400,
        "malformed_body",
        f"body at /do: invalid value 'raise', expected {_ORDER}; nothing was done",
        details=(("/do", f"invalid value 'raise', expected {_ORDER}"),),
    ),
    _bad(
        "a version that is not pinned",
        '{"do": "canary", "version": "9", "percent": 5}',
        400,
        "routes_refused",
        f"routes, payments: found version '9', expected a pinned version (1, 2); {_STAYS}",
    ),
    _bad(
        "a canary that is stable",
        '{"do": "canary", "version": "1", "percent": 5}',
        400,
        "routes_refused",
        f"routes, payments.canary: found version '1', expected another version than stable; {_STAYS}",
    ),
    _bad(
        "nothing to promote",
        '{"do": "promote"}',
        400,
        "routes_refused",
        f"routes, payments: found no canary, expected a canary to promote or to take out; {_STAYS}",
    ),
    _bad(
        "nothing to go back to",
        '{"do": "rollback"}',
        400,
        "routes_refused",
        "routes, payments: found no canary, and no version that was stable before, expected another version to go back to; "
        f"{_STAYS}",
    ),
    _bad(
        "a change that is none",
        '{"do": "set", "stable": "1"}',
        400,
        "routes_refused",
        f"routes, payments: found routes that are so already, expected a change; {_STAYS}",
    ),
    _bad(
        "a model unknown",
        '{"do": "abort"}',
        400,
        "routes_refused",
        "routes, nothing: found no routes, expected a stable version (`set`) as the model's first route; " + _STAYS,
        path="/admin/routes/nothing",
    ),
    _bad(
        "a generation that has passed",
        '{"do": "set", "stable": "2"}',
        409,
        "routes_conflict",
        "generation: found 2, expected 1 as in the request; nothing was changed",
        headers={"if-match": '"1"'},
    ),
    _bad(
        "a generation that is none",
        '{"do": "abort"}',
        400,
        "malformed_body",
        "header if-match: found 'soon', expected a generation in quotes; nothing was done",
        headers={"if-match": "soon"},
    ),
    _bad(
        "a document that leaves models out",
        '{"models": {}}',
        400,
        "routes_refused",
        f'routes, models.payments: found no routes, expected its routes, or "remove": ["payments"]; {_STAYS}',
        path=_ALL,
        method="PUT",
    ),
    Bad(
        "another method",
        _ALL,
        EMPTY,
        405,
        "method_unsupported",
        "method POST: expected GET, PUT",
        headers=_ADMIN,
    ),
)
