"""How is the monitor put together: settings in, a running sidecar out; the only place where its real adapters are
built.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import assert_never

import structlog
import uvicorn
from starlette.routing import Route
from starlette.types import ASGIApp

from models.disk import Disk
from models.key_file import FILE as KEYS_FILE
from models.key_file import KeyFile
from models.keyring import Keyring
from models.keys import asked_for
from models.registry import Registry
from models.reserve import Reserve
from monitoring.alert import Alert
from monitoring.archivist import Archivist
from monitoring.checkpoint import Checkpoints, read_checkpoint
from monitoring.console.files import FILES
from monitoring.console.guard import Guarded
from monitoring.console.orders import OrdersApi, orders_something
from monitoring.console.routes import console_routes
from monitoring.console.stream import Stream
from monitoring.dispatch.api import AlertsApi, says_something
from monitoring.dispatch.authority import Authority
from monitoring.dispatch.mailroom import Mailroom, mailroom
from monitoring.dispatch.present import phases_of, rise_now
from monitoring.erased import Erased
from monitoring.errors import CheckpointInvalid, MonitorBusy, RecordsLetGo, SettingsInvalid
from monitoring.events import Event, stamp
from monitoring.explainer import Explainer
from monitoring.exporter import app
from monitoring.group import schemas_named
from monitoring.intake import Intake
from monitoring.keyed import OPEN, Keyed
from monitoring.loop import Loop
from monitoring.outbox import Outbox
from monitoring.power.route import power_route
from monitoring.pulse import Pulse
from monitoring.reference import Reference
from monitoring.references import References
from monitoring.replay import Reach, reach, replay, whole_from
from monitoring.rollout.admin import AdminApi
from monitoring.rollout.controller import Controller
from monitoring.rollout.document import Rollout
from monitoring.rollout.reading import Follower
from monitoring.rules import Rules
from monitoring.segments.learnt import Learnt
from monitoring.settings import Settings
from monitoring.state import State, Version
from monitoring.status import LoopStatus, OutboxStatus, Status, log_of
from monitoring.wrong_tokens import WrongTokens
from service.featurelog.chunk import Chunk
from service.featurelog.errors import DirectoryBusy
from service.featurelog.files import lock_directory
from service.featurelog.floors import floors

OUTBOX = Path("monitor/outbox")  # below the home
OPEN_CONNECTIONS_MAX = 64  # scrapes and a page; beyond, 503: the monitor must not be starved by its audience


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the monitor stops the server after its last checkpoint."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def lock(home: Path) -> int:
    """Takes the monitor's place in this home until the process ends. Raises MonitorBusy."""
    try:
        return lock_directory(home / "monitor")
    except DirectoryBusy as error:
        raise MonitorBusy(str(home / "monitor")) from error


def bind(host: str, port: int) -> socket.socket:
    """The listening socket, bound before anything runs. Raises SettingsInvalid."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SettingsInvalid(
            f"[monitor] host {host}, port {port}", str(error), "an address that can be bound"
        ) from error


async def run(settings: Settings, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Runs the sidecar until SIGTERM or SIGINT; returns after the last checkpoint."""
    home, rules = settings.home, settings.rules()
    outbox = _outbox(settings)
    post = mailroom(
        settings, outbox, lambda: frozenset(phases_of(pulse.status())), lambda facts: rise_now(pulse.status(), facts)
    )
    stop, here = _told_to_stop(), asyncio.get_running_loop()
    explainer = Explainer(home, timeout_s=settings.explain_timeout_s)

    def offer(event_ids: tuple[str, ...]) -> None:
        if settings.explain_events:
            here.call_soon_threadsafe(explainer.offer, event_ids)
        here.call_soon_threadsafe(post.offer, event_ids)

    archivist = Archivist(
        home,
        interval_s=settings.archive_interval_s,
        timeout_s=settings.archive_timeout_s,
        saved=lambda: loop.saved_positions,
    )
    controller = _controller(settings)
    references = References(Registry(home / "registry"), segments=rules.segments, segments_max=rules.segments_max)
    pulse = Pulse(_first_status(settings, post.status()), settings.healthy_tick_age_s)
    loop = Loop(
        intake=Intake(home / "log", {}, settings.records_max),
        references=references,
        outbox=outbox,
        checkpoints=Checkpoints(home / "monitor"),
        reserve=Reserve(home / "monitor" / "reserve", settings.reserve_bytes, Disk()),
        pulse=pulse,
        rules=rules,
        checkpoint_interval_s=settings.checkpoint_interval_s,
        offer=offer,
        outbox_status=post.status,
        archive_status=archivist.status,
        rollouts=controller.status,
        explain_status=explainer.status,
        erased=Erased(home / "monitor"),
    )
    stream = Stream(pulse)
    more = [*console_routes(pulse, stream), power_route(pulse.status, lambda: references.known)]
    server = _server(settings, pulse, post, more, listening)
    loop.start()
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    beside = [asyncio.create_task(controller.run(settings.rollout_interval_s)), asyncio.create_task(explainer.run())]
    beside += post.tasks()
    if settings.archive_interval_s:
        beside.append(asyncio.create_task(archivist.run()))
    for task in (serving, *beside):  # without its page, or one of what runs beside, the monitor ends, and says why
        task.add_done_callback(lambda _: stop.set())
    ready()
    await loop.run(stop, settings.poll_interval_s)
    stream.close()  # before: the server waits for answers that have begun
    server.should_exit = True
    await serving
    await _end(*beside)
    await post.close()


def _outbox(settings: Settings) -> Outbox:
    return Outbox(
        settings.home / OUTBOX,
        pending_max=settings.outbox_pending_max,
        delivered_kept=settings.outbox_delivered_kept,
    )


def _told_to_stop() -> asyncio.Event:
    """Set by SIGTERM and SIGINT."""
    stop, here = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        here.add_signal_handler(number, stop.set)
    return stop


def _server(
    settings: Settings, pulse: Pulse, post: Mailroom, more: Sequence[Route], listening: socket.socket
) -> _Server:
    page = _page(settings, pulse, post, more, listening)
    config = uvicorn.Config(
        page,
        log_config=None,
        access_log=False,
        lifespan="off",
        limit_concurrency=OPEN_CONNECTIONS_MAX,
        proxy_headers=False,  # who asks is who the socket says: a header may say anybody
    )
    return _Server(config)


def _page(settings: Settings, pulse: Pulse, post: Mailroom, more: Sequence[Route], listening: socket.socket) -> ASGIApp:
    """What the socket answers; behind keys where others than this machine reach it, or the settings say so."""
    keyring = Keyring(KeyFile(settings.home / KEYS_FILE))
    wrong = WrongTokens()
    alerts = AlertsApi(post, Authority(settings.token(), keyring, wrong), pulse.status)
    page = app(pulse, [*alerts.routes(), *OrdersApi(settings, wrong).routes(), *more])
    if not asked_for(settings.api_keys, listening.getsockname()[0]):
        return Guarded(page, {settings.host, *settings.hosts}, settings.hosts)
    return Guarded(Keyed(page, keyring, _elsewhere, OPEN | FILES.keys()), None, settings.hosts)


def _elsewhere(method: str, path: str) -> bool:
    """What asks for more than a key that reads."""
    return says_something(method, path) or orders_something(method, path)


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def replayed(
    settings: Settings, from_minute: int, to_minute: int, standing: Mapping[Version, Alert]
) -> tuple[list[Event], RecordsLetGo | None]:
    """The events that a piece of the log makes under these settings, and what is missing of the windows before it;
    `standing`: the alerts that had an incident when it began.

    Raises RecordsLetGo where it is missing of the piece itself, also where it went meanwhile; ManifestInvalid.
    """
    _let_go(settings, from_minute, to_minute)
    rules = settings.rules()
    references = References(
        Registry(settings.home / "registry"), segments=rules.segments, segments_max=rules.segments_max
    )
    intake = Intake(settings.home / "log", {}, settings.records_max)

    def chunks() -> Iterator[tuple[Chunk, bool]]:
        while True:
            chunk, settled = intake.read()
            yield chunk, settled
            if chunk.caught_up:
                return

    def learn(chunk: Chunk) -> Mapping[str, Reference]:
        return references.learn(schemas_named(chunk.runs))

    known = _learnt(settings, rules)
    events = replay(
        chunks(), rules, learn, from_minute=from_minute, to_minute=to_minute, learnt=known, standing=standing
    )
    return list(events), _let_go(settings, from_minute, to_minute)


def _learnt(settings: Settings, rules: Rules) -> Mapping[tuple[Version, str], Learnt]:
    """What the running monitor learnt of segments: a piece of the log is too short to learn it again."""
    try:
        _, state = read_checkpoint(settings.home / "monitor", rules)
    except CheckpointInvalid as error:
        structlog.get_logger().warning("segments_unknown", reason=str(error), consequence="no segment is judged")
        return {}
    return state.learnt


def _let_go(settings: Settings, from_minute: int, to_minute: int) -> RecordsLetGo | None:
    begin, rules = whole_from(raw.max_at_us for raw in floors(settings.home / "log").values()), settings.rules()
    match reach(begin, from_minute, rules):
        case Reach.WHOLE:
            return None
        case Reach.WINDOWS_CUT:
            before = f"the windows before {stamp(from_minute)}, back to {stamp(from_minute - rules.longest_minutes)}"
            return RecordsLetGo(stamp(begin), before, "what is judged there may be judged otherwise than it was")
        case Reach.CUT:
            raise RecordsLetGo(stamp(begin), f"{stamp(from_minute)} to {stamp(to_minute)}", "nothing was judged")
        case never:
            assert_never(never)


def _controller(settings: Settings) -> Controller:
    admin: AdminApi | None = None
    if settings.rollout_apply:
        token = settings.token()
        if not token:
            raise SettingsInvalid(
                "rollout_apply", "no admin token", "PLUMBLINE_ADMIN_TOKEN or admin_token_file, as the service has it"
            )
        admin = AdminApi(settings.service_url, token)

    def follow(model: str, rollout: Rollout) -> Follower:
        return Follower(settings, model, rollout)

    return Controller(home=settings.home, follow=follow, admin=admin)


def _first_status(settings: Settings, outbox: OutboxStatus) -> Status:
    rules = settings.rules()
    return Status(
        versions=(),
        unrouted=(),
        outbox=outbox,
        log=log_of(State(), {}, caught_up=False, lag_bytes=0),
        loop=LoopStatus(0, 0, "", 0, 0, rules.keys_max, 0, rules.state_bytes_max),
        rules=rules,
    )
