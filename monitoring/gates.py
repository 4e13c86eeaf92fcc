"""How do Flagger and Argo Rollouts ask: their requests in, a gate's answer out.

- `POST /gate/flagger`: Flagger's webhook; 200: go on, 403: not yet or not at all, with the reason as text for its events.
- `POST /gate/flagger/rollback`: its `rollback` hook, of which success means "roll back"; 200 only where the evidence says so.
- `GET /gate/argo?model=…&percent=…`: Argo Rollouts' `web` metric; 200 with `result`: `wait` and `unknown` are inconclusive.

Laws
- A gate changes nothing, and answers from the newest status; it never waits for the log.
- What cannot be answered is no success: 400 a request that names no model, 404 a model without a rollout, 413, 408, 503.
- At most BODY_BYTES_MAX of a body are read, for at most BODY_S.
"""

import asyncio
from math import isfinite

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from models.errors import UNDECODABLE
from monitoring.pulse import Pulse
from monitoring.rollout.gate import Answer, Gate, gate

BODY_BYTES_MAX = 65_536  # Flagger's payload is a name, a phase and the metadata of the hook: some hundred bytes
BODY_S = 5.0  # Flagger gives up after 10 s where nothing else is set
JSON = "application/json"
_FLAGGER = {Gate.GO: 200, Gate.WAIT: 403, Gate.STOP: 403, Gate.UNKNOWN: 503}
_ROLLBACK = {Gate.GO: 403, Gate.WAIT: 403, Gate.STOP: 200, Gate.UNKNOWN: 503}


class _Hook(msgspec.Struct, frozen=True):
    """What Flagger posts, as far as it is of use: `metadata` is of the hook, and always text."""

    metadata: dict[str, str] = {}


class _Refused(Exception):
    """A request that a gate has no answer to."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(status, sentence)
        self.status, self.sentence = status, sentence


_hook = msgspec.json.Decoder(_Hook)


def routes(pulse: Pulse) -> list[Route]:
    """The gates over a loop's pulse."""

    async def flagger(request: Request) -> Response:
        return await _flagger(pulse, request, _FLAGGER)

    async def rollback(request: Request) -> Response:
        return await _flagger(pulse, request, _ROLLBACK)

    async def argo(request: Request) -> Response:
        asked = request.query_params
        try:
            answer = _asked(pulse, asked.get("model"), asked.get("percent"), "the query")
        except _Refused as refused:
            return PlainTextResponse(refused.sentence, refused.status)
        return Response(msgspec.json.encode(answer), media_type=JSON)

    return [
        Route("/gate/flagger", flagger, methods=["POST"]),
        Route("/gate/flagger/rollback", rollback, methods=["POST"]),
        Route("/gate/argo", argo),
    ]


async def _flagger(pulse: Pulse, request: Request, statuses: dict[Gate, int]) -> Response:
    try:
        metadata = (await _read(request)).metadata
        answer = _asked(pulse, metadata.get("model"), metadata.get("percent"), "the hook's metadata")
    except _Refused as refused:
        return PlainTextResponse(refused.sentence, refused.status)
    return PlainTextResponse(f"{answer.model}: {answer.result}: {answer.reason}", statuses[answer.result])


async def _read(request: Request) -> _Hook:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > BODY_BYTES_MAX:
                    raise _Refused(413, f"body: more than {BODY_BYTES_MAX} bytes, expected a payload of Flagger")
        return _hook.decode(bytes(body))
    except TimeoutError as error:
        raise _Refused(408, f"body: not complete after {BODY_S:g} s") from error
    except ClientDisconnect as error:
        raise _Refused(400, "body: its client has gone") from error
    except UNDECODABLE as error:
        raise _Refused(400, f"body: found {error}, expected a payload of Flagger") from error


def _asked(pulse: Pulse, model: str | None, percent: str | None, where: str) -> Answer:
    if not model:
        raise _Refused(400, f"{where}: found no model, expected the name of a model with a rollout")
    told = next((one for one in pulse.status().rollouts if one.model == model), None)
    if told is None:
        raise _Refused(
            404, f"{where}: found {model[:64]!r}, expected a model with a rollout; the monitor follows no other"
        )
    return gate(told, _share(percent, where), pulse.unhealthy())


def _share(text: str | None, where: str) -> float | None:
    if text is None:
        return None
    try:
        percent = float(text)
    except ValueError:
        percent = float("nan")
    if not isfinite(percent) or not 0 < percent <= 100:
        raise _Refused(400, f"{where}, percent: found {text[:32]!r}, expected a share above 0, at most 100")
    return percent
