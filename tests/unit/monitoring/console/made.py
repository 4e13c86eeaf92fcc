"""What do the console's tests show: statuses of folded traffic, of one model or of very many."""

from functools import cache

import msgspec
import numpy as np
from starlette.applications import Starlette

from monitoring.console.routes import console_routes
from monitoring.console.stream import Stream
from monitoring.exporter import app
from monitoring.fold import fold
from monitoring.picture import Gallery, gallery_of
from monitoring.pulse import Pulse
from monitoring.rules import Rules
from monitoring.shadows.said import ShadowsSaid
from monitoring.shadows.said import said as shadows_said
from monitoring.state import State
from monitoring.status import LoopStatus, OutboxStatus, Status, log_of, unrouted_of, versions_of
from tests.unit.monitoring.made import START_MINUTE, chunk, model, traffic
from tests.unit.monitoring.shadows.made import REFERENCES, answer, run, shadow
from tests.unit.monitoring.shadows.made import chunk as chunk_of

RULES = Rules()
LOOP = LoopStatus(3, 0, "", 1, 2, 200, 5, 6)


@cache  # a state is only read here
def folded(*, floats: int = 3, minutes: int = 10, rows_per_minute: int = 60, scale: float = 1.0) -> State:
    """So many minutes of traffic of one model; its f0 is `scale` times too large."""
    made, state = model(floats=floats, rows=4000), State()
    records = traffic(
        np.random.default_rng(1),
        minutes=range(START_MINUTE, START_MINUTE + minutes),
        rows_per_minute=rows_per_minute,
        floats=floats,
        scale=scale,
        rows_per_request=10,
    )
    fold(state, chunk(*records, made=made), settled=True, rules=RULES, references=made.references())
    return state


def status_of(state: State) -> Status:
    """What a monitor says that has read all of it."""
    return Status(
        versions=versions_of(state, RULES),
        unrouted=unrouted_of(state, RULES),
        outbox=OutboxStatus(None),
        log=log_of(state, {}, caught_up=True, lag_bytes=0),
        loop=LOOP,
        rules=RULES,
    )


def pulse_of(state: State) -> Pulse:
    """A loop's pulse with status and pictures of it."""
    pulse = Pulse(status_of(state), 30.0)
    pulse.publish(status_of(state), gallery_of(state, RULES))
    return pulse


def shadowed() -> ShadowsSaid:
    """One pair that was compared."""
    state = State()
    records = [answer(0, [(0.0, "no")]), shadow(0, [(0.5, "yes")]), answer(2, [(0.1, "no")]), shadow(2, [(0.1, "no")])]
    fold(state, chunk_of(run(records)), settled=True, rules=RULES, references=REFERENCES)
    return shadows_said(state.shadows, 0, REFERENCES)


def many(models: int = 50, features: int = 200) -> Pulse:
    """The same traffic under so many names, every tenth with a feature that is wrong; a feature is a text."""
    states = [folded(floats=features - 1, minutes=4, rows_per_minute=30, scale=scale) for scale in (1.0, 1000.0)]
    said = [status_of(state) for state in states]
    versions, judged = [], {}
    for number in range(models):
        wrong, name = number % 10 == 0, f"model-{number:02d}"
        ((version, found),) = states[wrong].judged.items()
        versions.append(msgspec.structs.replace(said[wrong].versions[0], model=name))
        judged[version._replace(model=name)] = found
    status = msgspec.structs.replace(said[0], versions=tuple(versions), shadows=shadowed())
    pulse = Pulse(status, 30.0)
    pulse.publish(status, Gallery(judged, {}, RULES))
    return pulse


def console(pulse: Pulse) -> Starlette:
    """The monitor's HTTP side with the console, without keys."""
    return app(pulse, console_routes(pulse, Stream(pulse)))
