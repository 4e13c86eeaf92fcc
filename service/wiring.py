"""Settings to object graph: the only place where the server's real adapters are built."""

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from models.key_file import KeyFile
from models.keyring import Keyring
from models.keys import asked_for
from models.lock_file import LockFile
from models.pool import Pool
from service.batch_plan import BatchRules
from service.batching import Batcher
from service.bound import bound_host
from service.catalogue import Catalogue
from service.clock import Clock
from service.drain import Drain
from service.ejected import EjectedFile
from service.featurelog.key import deployment_key
from service.featurelog.segments import Rotation
from service.featurelog.writer import FeatureLog
from service.followed_runs import FollowedBatcher
from service.following import FollowingPredictor
from service.http.admin import Admin
from service.http.admission import Admission
from service.http.answer import Answer, Headers
from service.http.arrow import Arrow
from service.http.bounds import Bounds
from service.http.control import Control
from service.http.documents import Documents
from service.http.edge import Edge, Handler
from service.http.feedback import Feedback
from service.http.gate import Gate
from service.http.guard import Guard
from service.http.keyed import KeyedEdge
from service.http.languages import Languages
from service.http.paths import Verb
from service.http.patience import Patience
from service.http.v1 import V1, Native
from service.http.v2 import V2
from service.http.wire import Wire
from service.in_flight import BOARD, Cells, joined
from service.memory import give_back_large_blocks
from service.pace import Pressure
from service.predict import Ask, Limits, Predictor
from service.presence import Presence
from service.release import RELEASE
from service.residence import Residence
from service.roll_call import answer_roll_call
from service.route_changes import RouteChanges
from service.routes_file import RoutesFile
from service.settings import SUPERVISOR, Settings
from service.shadow import Shadows
from service.sources import registry_of
from service.span_sender import SpanSender
from service.telemetry import Telemetry
from service.trace_context import KEY_BYTES, Following
from service.tracing import sender_of
from service.trying import trials_of
from service.unexpected import tell_loop
from service.wanted import WantedFile
from service.warm import warm_up

# What the event loop waits for the interpreter while a thread of ours loads a version; Python's own 5 ms are a turn and a half.
SWITCH_S = 0.000_5
# Requests end without cycles, so a collection finds next to nothing; but by default one begins whenever 700 more objects live
# than before, which 2 000 clients at once make many times a second: 13 % of the time, and pauses of milliseconds.
GC_THRESHOLDS = 20_000, 20, 20
_log = structlog.get_logger()


@dataclass(slots=True)
class Worker:
    """What runs in one worker process."""

    edge: Edge
    admission: Admission
    native: Native
    predictor: Predictor
    sender: SpanSender | None  # None: nothing is traced
    log: FeatureLog
    batcher: Batcher
    shadows: Shadows
    presence: Presence
    drain: Drain
    guard: Guard
    tasks: tuple[asyncio.Task[None], ...]

    async def predict_native(self, model: str, body: bytes, headers: Headers) -> Answer:
        """A request that came through BentoML's own API."""
        request_id = self.edge.request_id(headers)
        ask = Ask(self.native, model, None, request_id, headers, time.monotonic_ns(), body=body)
        return await self.predictor.predict(ask)

    async def stop(self) -> None:
        """Ends the background tasks, then the threads (not waiting for a run that was cut off), then the log."""
        self.presence.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.batcher.close()
        self.shadows.close()
        await self.log.close()
        if self.sender is not None:
            await asyncio.to_thread(self.sender.close)
        self.predictor.publish()
        _log.info("worker.stopped", writer=self.log.writer, epoch=self.log.epoch, requests=self.log.received)


@dataclass(frozen=True, slots=True)
class _Shared:
    """What more than two parts of a worker are built on."""

    settings: Settings
    telemetry: Telemetry
    clock: Clock
    log: FeatureLog
    routes: RoutesFile
    catalogue: Catalogue
    pressure: Pressure
    cells: Cells
    ejected: EjectedFile
    gate: Gate | None  # None: nobody is asked for a key


async def start_worker(settings: Settings, *, log_class: type[FeatureLog] = FeatureLog) -> Worker:
    """Builds everything, loads every pinned version and warms the whole path; raises what makes it impossible to serve.

    `log_class`: for the speed comparison, which measures what the log costs against one that keeps nothing.
    """
    configure_logging()
    asyncio.get_running_loop().set_exception_handler(tell_loop)
    give_back_large_blocks()
    sys.setswitchinterval(SWITCH_S)
    native = Native(settings.max_rows)
    languages = _languages(settings, native)
    shared = _shared(settings, languages, log_class)
    sender = sender_of(settings, f"{shared.log.writer}-{shared.log.epoch}")
    batching = Batcher if sender is None else FollowedBatcher
    batcher = batching(rules=_batch_rules(settings), telemetry=shared.telemetry, cells=shared.cells)
    shadows = _shadows(shared, batcher)
    predictor = _predictor(shared, batcher, shadows, sender)

    def cut() -> None:
        predictor.cut_off()
        admission.close()

    parent = int(os.environ.get(SUPERVISOR) or os.getppid())
    drain = Drain(drain_s=settings.drain_s, grace_s=settings.grace_s, parent=parent, cut=cut)
    edge = _edge(shared, languages, _handlers(shared, predictor, drain), predictor)
    admission = Admission(
        turnstile=edge,
        pressure=shared.pressure,
        waiting_max=settings.max_waiting_requests,
        timeout_ms=settings.timeout_ms,
    )
    guard = _guard(settings, shared.telemetry)
    presence = Presence(settings.workers_root / f"{os.getpid()}.json")
    await shared.catalogue.refresh()
    warm_up(shared.catalogue.current, native, shared.cells)
    drain.listen()
    tasks = _tasks(shared, predictor, shadows, drain, guard, presence)
    gc.collect()
    gc.freeze()  # what is loaded now stays: collections then look at requests only (p99 6.3 → 2.7 ms at full load)
    gc.set_threshold(*GC_THRESHOLDS)
    log = shared.log
    _log.info("worker.ready", writer=log.writer, epoch=log.epoch, torn_bytes=log.torn_bytes)
    return Worker(edge, admission, native, predictor, sender, log, batcher, shadows, presence, drain, guard, tasks)


def _edge(shared: _Shared, languages: Languages, handlers: Mapping[Verb, Handler], predictor: Predictor) -> Edge:
    settings, gate = shared.settings, shared.gate
    made: Callable[..., Edge] = Edge if gate is None else partial(KeyedEdge, gate=gate)
    return made(
        predictor=predictor,
        languages=languages,
        handlers=handlers,
        max_body_bytes=settings.max_body_bytes,
        compress_above_bytes=settings.compress_above_bytes,
    )


def _languages(settings: Settings, native: Native) -> Languages:
    v1, v2 = V1(settings.max_rows), V2(settings.max_rows)
    spoken: Mapping[Verb, Wire] = {Verb.V1_PREDICT: v1, Verb.V2_INFER: v2, Verb.NATIVE_PREDICT: native}
    arrow = Arrow(max_rows=settings.max_rows, max_bytes=settings.max_body_bytes)
    return Languages(spoken, arrow, (Verb.V1_PREDICT, Verb.V2_INFER))


def _shared(settings: Settings, languages: Languages, log_class: type[FeatureLog]) -> _Shared:
    telemetry, clock = Telemetry(), Clock(settings.event_time_header)
    cells, ejected = joined(os.environ.get(BOARD)), EjectedFile(settings.ejected_path)
    log = log_class(
        settings.log_root,
        rotation=Rotation(settings.log_segment_bytes_max, settings.log_segment_age_s_max),
        fsync_interval_s=settings.log_fsync_interval_s,
        clock_us=clock.now_us,
        refuse_unlogged=_refuses_unlogged(settings),
        durability=settings.log_durability,
        reserve_bytes=settings.log_reserve_bytes,
    )
    routes = RoutesFile(settings.routes_path)
    pool = Pool(registry_of(settings), threads=settings.model_threads, trials=trials_of(settings))
    wanted, cap_bytes = WantedFile(settings.wanted_path), settings.versions_memory_max_mb << 20
    catalogue = Catalogue(
        routes=routes,
        lock_file=LockFile(settings.lock_path),
        pool=pool,
        wires=languages.wires,
        telemetry=telemetry,
        privacy_key=deployment_key(settings.privacy_key_path, make=settings.privacy_key_file is None),
        ejected=ejected,
        cells=cells,
        residence=Residence(pool, cap_bytes=cap_bytes, wanted=wanted),
        log=log,
    )
    gate = _gate(settings, telemetry)
    return _Shared(settings, telemetry, clock, log, routes, catalogue, Pressure(), cells, ejected, gate)


def _gate(settings: Settings, telemetry: Telemetry) -> Gate | None:
    """Where this worker's address is one from which others ask, or the settings say so."""
    if not asked_for(settings.api_keys, bound_host(settings.host, sys.argv)):
        return None
    gate = Gate(
        keyring=Keyring(KeyFile(settings.keys_path)),
        token=settings.admin_token,
        workers_root=settings.workers_root,
        count=telemetry.key_refused,
    )
    gate.open()
    return gate


def _refuses_unlogged(settings: Settings) -> bool:
    return settings.on_log_failure == "refuse"


def _batch_rules(settings: Settings) -> BatchRules:
    return BatchRules(
        max_batch_rows=settings.max_batch_rows,
        max_queue_rows=settings.max_queue_rows,
        max_queue_bytes=settings.max_queue_bytes,
        max_queue_delay_us=settings.max_queue_delay_us,
        inline_below_us=settings.inline_below_us,
    )


def _predictor(shared: _Shared, batcher: Batcher, shadows: Shadows, sender: SpanSender | None) -> Predictor:
    settings = shared.settings
    made: Callable[..., Predictor] = Predictor
    if sender is not None:
        following = Following(settings.trace_sample, os.urandom(KEY_BYTES))
        made = partial(FollowingPredictor, following=following, sender=sender)
    return made(
        catalogue=shared.catalogue,
        batcher=batcher,
        shadows=shadows,
        log=shared.log,
        telemetry=shared.telemetry,
        clock=shared.clock,
        limits=Limits(
            settings.max_rows,
            settings.timeout_ms,
            _refuses_unlogged(settings),
            settings.override_header.lower().encode(),
        ),
        pressure=shared.pressure,
    )


def _shadows(shared: _Shared, batcher: Batcher) -> Shadows:
    return Shadows(
        queue_rows_max=shared.settings.shadow_queue_rows_max,
        queue_bytes_max=shared.settings.shadow_queue_bytes_max,
        log=shared.log,
        telemetry=shared.telemetry,
        live_waits=lambda: batcher.busy,
        cells=shared.cells,
    )


def _handlers(shared: _Shared, predictor: Predictor, drain: Drain) -> dict[Verb, Handler]:
    """Of all routes but those that predict."""
    control = Control(
        catalogue=shared.catalogue,
        log=shared.log,
        telemetry=shared.telemetry,
        publish=predictor.publish,
        release=RELEASE,
        stopping=lambda: drain.stopping,
        gate=shared.gate,
    )
    feedback = Feedback(
        catalogue=shared.catalogue,
        log=shared.log,
        telemetry=shared.telemetry,
        clock=shared.clock,
        labels_max=shared.settings.max_rows,
    )
    changes = RouteChanges(
        routes=shared.routes,
        lock_file=LockFile(shared.settings.lock_path),
        workers_root=shared.settings.workers_root,
        ejected=shared.ejected,
        wanted=WantedFile(shared.settings.wanted_path),
    )
    token = shared.settings.admin_token
    admin = Admin(
        catalogue=shared.catalogue,
        routes=shared.routes,
        changes=changes,
        telemetry=shared.telemetry,
        token=token,
        gate=shared.gate,
    )
    documents = Documents(RELEASE, keyed=shared.gate is not None)
    return {**control.handlers(), **feedback.handlers(), **admin.handlers(), **documents.handlers()}


def _tasks(
    shared: _Shared, predictor: Predictor, shadows: Shadows, drain: Drain, guard: Guard, presence: Presence
) -> tuple[asyncio.Task[None], ...]:
    """What runs beside the requests until the worker stops; begun now."""
    catalogue, poll_s = shared.catalogue, shared.settings.routes_poll_s
    roll_call = answer_roll_call(presence, catalogue, started_us=shared.clock.now_us(), poll_s=poll_s)
    tasks = [
        asyncio.create_task(shared.log.keep(), name="log.keep"),
        asyncio.create_task(predictor.keep_published(), name="predictor.keep_published"),
        asyncio.create_task(catalogue.follow(poll_s), name="catalogue.follow"),
        asyncio.create_task(shadows.work(), name="shadows.work"),
        asyncio.create_task(drain.accept(), name="drain.accept"),
        asyncio.create_task(drain.follow_parent(), name="drain.follow_parent"),
        asyncio.create_task(roll_call, name="roll_call"),
        asyncio.create_task(guard.keep(), name="guard.keep"),
    ]
    if shared.gate is not None:
        tasks.append(asyncio.create_task(shared.gate.follow(poll_s), name="keys.follow"))
    for task in tasks:
        task.add_done_callback(partial(ended, drain))
    return tuple(tasks)


def ended(drain: Drain, task: asyncio.Task[None]) -> None:
    """A worker without one of its tasks looks well and is not: it leaves, and the supervisor starts another."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("worker.task_failed", task=task.get_name(), exc_info=error)
        drain.begin(signal.SIGTERM)


def _guard(settings: Settings, telemetry: Telemetry) -> Guard:
    patience = Patience(
        header_timeout_s=settings.header_timeout_s,
        body_timeout_s=settings.body_timeout_s,
        write_timeout_s=settings.write_timeout_s,
        bytes_per_s_min=settings.min_bytes_per_s,
        keep_alive_s=settings.keep_alive_s,
    )
    bounds = Bounds(
        max_header_bytes=settings.max_header_bytes,
        max_headers=settings.max_headers,
        max_url_bytes=settings.max_url_bytes,
        max_connections=settings.max_connections,
        max_pipelined=settings.max_pipelined,
        max_unfinished_bytes=settings.max_unfinished_bytes,
    )
    return Guard(patience=patience, bounds=bounds, count=telemetry.connection)


def configure_logging() -> None:
    """One JSON object a line on stderr; uvicorn's access log, which formats before it asks its level, is taken out."""
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
