"""Which systems are compared, how each is started and what it is asked.

A system is one value: to add one, add a Peer to PEERS and, where it needs code, one file to `targets/`.

Words in braces are filled in by the bench: {python} {bin} the peer's interpreter and its folder, {port}, {targets} the
folder of the servers, {model} the ONNX file, {train} its training data (CSV, label column `label`), {home} an empty folder.
"""

from dataclasses import dataclass, field

ROW = (
    0.41,
    -1.2,
    0.07,
    2.3,
    -0.55,
    0.9,
    -0.13,
    1.1,
    0.0,
    -2.2,
    0.31,
    0.62,
    -0.74,
    1.9,
    -1.4,
    0.18,
    0.5,
    -0.27,
    0.8,
    -0.06,
)
ROW_JSON = "[" + ",".join(map(str, ROW)) + "]"
ONNX = ("onnxruntime==1.31.1", "numpy==2.4.6")  # the versions of requirements.lock: the same runtime under every system
BENTOML = ("bentoml==1.4.39", *ONNX)
UVICORN = ("uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One system; `requirements` empty means that the project's own environment has all it needs.

    `prepare`: commands run once before the first start. `expect`: words that the answer to the request must contain.
    `cores` is not a field on purpose: every system gets the same one.
    """

    name: str
    note: str
    argv: tuple[str, ...]
    path: str
    body: str
    ready: str
    expect: str
    requirements: tuple[str, ...] = ()
    prepare: tuple[tuple[str, ...], ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


def _bentoml(
    mode: str, service: str, *requirements: str, note: str = "installed and written as its docs show it"
) -> Peer:
    return Peer(
        name=f"bentoml {mode}",
        note=f"`@bentoml.api`, {note}, one worker",
        requirements=requirements,
        argv=(
            *("{bin}/bentoml", "serve", f"bentoml_plain:{service}", "--working-dir", "{targets}"),
            *("--host", "127.0.0.1", "--port", "{port}"),
        ),
        path="/classify",
        body=f'{{"rows":[{ROW_JSON}]}}',
        ready="/readyz",
        expect="[[",
    )


def _uvicorn(app: str) -> tuple[str, ...]:
    return ("{python}", "-m", "uvicorn", app, "--app-dir", "{targets}", "--port", "{port}", "--no-access-log")


OURS = Peer(
    name="plumbline",
    note="validation, routing, feature log and metrics on, one worker, V1 JSON",
    prepare=(
        (
            *("{python}", "-m", "plumbline", "models", "add", "{model}", "--name", "bench"),
            *("--data", "{train}", "--label", "label", "--home", "{home}"),
        ),
    ),
    argv=("{python}", "-m", "plumbline", "serve", "--home", "{home}", "--port", "{port}", "--workers", "1"),
    path="/v1/models/bench:predict",
    body=f'{{"instances":[{ROW_JSON}]}}',
    ready="/readyz",
    expect='"predictions"',
)

PEERS: tuple[Peer, ...] = (
    OURS,
    _bentoml("sync", "Sync", *BENTOML),
    _bentoml("async", "Async", *BENTOML),
    _bentoml("batchable", "Batchable", *BENTOML),
    _bentoml(
        "async, uvloop", "Async", note="in our environment, so with the uvloop and httptools that it does not ask for"
    ),
    Peer(
        name="fastapi async",
        note="FastAPI + pydantic + ONNX Runtime, `async def`",
        requirements=("fastapi==0.165.0", *UVICORN, *ONNX),
        argv=_uvicorn("fastapi_async:app"),
        path="/predict",
        body=f'{{"instances":[{ROW_JSON}]}}',
        ready="/",
        expect='"predictions"',
    ),
    Peer(
        name="bare uvicorn + onnxruntime",
        note="raw ASGI, msgspec, ONNX Runtime, nothing else",
        argv=_uvicorn("bare_asgi:predict"),
        path="/predict",
        body=f'{{"instances":[{ROW_JSON}]}}',
        ready="/",
        expect='"predictions"',
    ),
    Peer(
        name="bare uvicorn, empty answer",
        note="the ceiling of this HTTP server on this core",
        argv=_uvicorn("bare_asgi:empty"),
        path="/predict",
        body=f'{{"instances":[{ROW_JSON}]}}',
        ready="/",
        expect="{}",
    ),
)
