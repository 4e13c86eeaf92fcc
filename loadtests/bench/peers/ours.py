"""Plumbline, as it is shipped and with one thing changed at a time."""

from loadtests.bench.systems import Form, System, Way
from loadtests.bench.wires import listed, named, predictions, v2_binary, v2_binary_outputs, v2_json, v2_outputs

ADD = (
    *("{python}", "-m", "plumbline", "models", "add", "{model}", "--name", "{name}"),
    *("--data", "{train}", "--label", "label", "--home", "{home}"),
)
SHADOW = ("{python}", "-m", "plumbline", "routes", "set", "{name}", "--shadow", "2", "--home", "{home}")
WAYS = {
    Form.NAMED: Way("/v1/models/{name}:predict", named("instances"), predictions),
    Form.LISTED: Way("/v1/models/{name}:predict", listed("instances"), predictions),
    Form.V2: Way("/v2/models/{name}/infer", v2_json, v2_outputs),
    Form.V2_BINARY: Way("/v2/models/{name}/infer", v2_binary, v2_binary_outputs),
}


def _plumbline(
    name: str, note: str, *, workers: int = 1, prepare: tuple[tuple[str, ...], ...] = (ADD,), **settings: str
) -> System:
    return System(
        name=name,
        note=note,
        argv=(
            "{python}",
            "-m",
            "plumbline",
            "serve",
            "--home",
            "{home}",
            "--port",
            "{port}",
            "--workers",
            str(workers),
        ),
        ways=WAYS,
        ready="/readyz",
        prepare=prepare,
        environment={f"PLUMBLINE_{key.upper()}": value for key, value in settings.items()},
        start_s=3.0,
    )


OURS = _plumbline("plumbline", "validation, routing, batching, feature log and metrics on, one worker")
TWO_WORKERS = _plumbline("plumbline, two workers", "two workers", workers=2)
UNBATCHED = _plumbline("plumbline, no batching", "`max_batch_rows = 1`: every request is a run", max_batch_rows="1")
SHADOWED = _plumbline(
    "plumbline, shadow 100 %", "every request is run again by a second version", prepare=(ADD, ADD, SHADOW)
)
DEADLINE_MS = 200
HURRIED = _plumbline(
    "plumbline, deadline", f"`timeout_ms = {DEADLINE_MS}`; what cannot make it is refused", timeout_ms=str(DEADLINE_MS)
)
UNLOGGED = System(
    name="plumbline, log off",
    note="no setting does this: the bench puts a log in place that keeps nothing",
    argv=(
        *("{bin}/bentoml", "serve", "plumbline_unlogged:Unlogged", "--working-dir", "{targets}"),
        *("--host", "127.0.0.1", "--port", "{port}"),
    ),
    ways=WAYS,
    ready="/readyz",
    prepare=(ADD,),
    environment={"PLUMBLINE_HOME": "{home}"},
    start_s=3.0,
)
RELAXED = _plumbline(
    "plumbline, log relaxed",
    '`log_durability = "relaxed"`: a record is written within 100 ms',
    log_durability="relaxed",
)
ON_DISK = _plumbline(
    "plumbline, log on disk", '`log_durability = "disk"`: an answer waits for its fsync', log_durability="disk"
)
