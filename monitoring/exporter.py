"""How is the status shown: `/metrics` for Prometheus, `/healthz` for a supervisor, `GET /api/status` for a page, and to other
people's rollouts by the gates.

Laws
- Every answer is made from one status; a scrape never touches the state.
- Series are bounded by the rules: labels are loaded models, contract columns, known kinds and the windows of the
  settings.
- `/healthz` says 503 when the loop's last good tick is too old: a monitor that cannot read is not watching.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from monitoring import gates
from monitoring.alert import Phase
from monitoring.arms import ArmStatus
from monitoring.dispatch.metrics import delivery_metrics
from monitoring.labels.exported import label_metrics
from monitoring.pulse import Pulse
from monitoring.rollout.metrics import rollout_metrics
from monitoring.segments.metrics import segment_metrics
from monitoring.shadows.said import ShadowsSaid
from monitoring.status import ArchiveStatus, CheckStatus, ExplainStatus, Status, VersionStatus, newest_of
from monitoring.volume.metrics import volume_metrics

PREFIX = "plumbline_monitor"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
JSON = "application/json"

VERSION = ("model", "version")
ARM = (*VERSION, "arm")
RIVAL = (*VERSION, "shadow")
CHECK = (*VERSION, "side", "column", "kind")


def app(pulse: Pulse, more: Sequence[Route] = ()) -> Starlette:
    """The monitor's HTTP side over a loop's pulse; `more` are routes of who has more than its status to show."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StatusCollector(pulse.status))

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE)

    async def healthz(_: Request) -> Response:
        reason = pulse.unhealthy()
        return JSONResponse({"healthy": reason is None, "reason": reason}, status_code=503 if reason else 200)

    async def status(_: Request) -> Response:
        return Response(msgspec.json.encode(pulse.status()), media_type=JSON)

    async def shadows(request: Request) -> Response:
        said, model = pulse.status().shadows, request.query_params.get("model")
        return Response(msgspec.json.encode(said if model is None else said.of(model)), media_type=JSON)

    async def labels(request: Request) -> Response:
        said, model = pulse.status().labels, request.query_params.get("model")
        return Response(msgspec.json.encode(said if model is None else said.of(model)), media_type=JSON)

    async def drift(request: Request) -> Response:
        asked = request.query_params
        model, window = asked.get("model", ""), asked.get("window_s", "")
        if window and not window.isdecimal():
            return _problem(400, "bad_input", f"window_s {window!r}: expected seconds")
        found = pulse.gallery().picture(
            model, asked.get("version"), int(window) if window else None, asked.get("column")
        )
        if found is None:
            return _problem(
                404, "not_judged", f"model {model!r}: no such version or window was judged yet, see /api/status"
            )
        return Response(msgspec.json.encode(found), media_type=JSON)

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/healthz", healthz),
            Route("/api/status", status),
            Route("/api/drift", drift),
            Route("/api/shadows", shadows),
            Route("/api/labels", labels),
            *gates.routes(pulse),
            *more,
        ],
    )


def _problem(status: int, code: str, sentence: str) -> Response:
    return JSONResponse({"error": sentence, "code": code}, status_code=status)


class StatusCollector(Collector):
    """Turns the newest status into metric families at each scrape."""

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        versions = list(newest_of(status.versions))
        yield from _traffic(versions, status.unrouted)
        yield from _checks(versions)
        yield from _alerts(versions)
        yield from _outbox(status)
        yield from delivery_metrics(status.outbox)
        yield from _log(status)
        yield from _archive(status.archive)
        yield from _explained(status.explained)
        yield from _shadows(status.shadows)
        yield from label_metrics(status.labels, PREFIX)
        yield from rollout_metrics(status.rollouts)
        yield from volume_metrics(status.volumes)
        yield from segment_metrics(versions)


def _traffic(versions: list[VersionStatus], unrouted: tuple[ArmStatus, ...]) -> Iterator[Metric]:
    requests = _counter("requests", "Requests seen in the log.", (*ARM, "outcome"))
    rows = _counter("rows", "Rows seen in the log.", (*ARM, "outcome"))
    gauges = {
        "requests_per_s": _gauge("requests_per_second", "Requests a second over the traffic window.", ARM),
        "rows_per_s": _gauge("rows_per_second", "Rows a second over the traffic window.", ARM),
        "error_ratio": _gauge("error_ratio", "Failed and shed requests of all, over the traffic window.", ARM),
        "rejected_ratio": _gauge("rejected_ratio", "Rejected requests of all, over the traffic window.", ARM),
    }
    latency = _gauge("latency_seconds", "Latency of answered requests over the traffic window.", (*ARM, "quantile"))
    arms = [((v.model, v.version, arm.arm), arm) for v in versions for arm in v.arms]
    for labels, arm in [*arms, *((("", "", ""), arm) for arm in unrouted)]:
        for outcome, n in arm.requests.items():
            requests.add_metric([*labels, outcome], n)
        for outcome, n in arm.rows.items():
            rows.add_metric([*labels, outcome], n)
        for name, gauge in gauges.items():
            if (value := getattr(arm, name)) is not None:
                gauge.add_metric(labels, value)
        for q, ms in (("0.5", arm.latency_ms_p50), ("0.95", arm.latency_ms_p95), ("0.99", arm.latency_ms_p99)):
            if ms is not None:
                latency.add_metric([*labels, q], ms / 1000)
    yield from (requests, rows, *gauges.values(), latency)


def _checks(versions: list[VersionStatus]) -> Iterator[Metric]:
    families = {
        "effect": _gauge("effect", "Effect of a check: drift in PSI, skew in share of rows.", CHECK),
        "lower_bound": _gauge("effect_lower_bound", "Lower bound of the effect.", CHECK),
        "tolerance": _gauge("effect_tolerance", "Effect that is tolerated.", CHECK),
        "n": _gauge("window_rows", "Rows that a check is made on.", CHECK),
        "window_s": _gauge("window_seconds", "Length of the window that says most about a check.", CHECK),
    }
    drifted = _gauge("drifted", "1 where a check says drifted, 0 stable; absent where nothing can be said.", CHECK)
    for version in versions:
        for check in (*version.drift, *version.skew):
            labels = _check_labels(version, check)
            for name, family in families.items():
                if (value := getattr(check, name)) is not None:
                    family.add_metric(labels, value)
            if check.verdict in ("stable", "drifted"):
                drifted.add_metric(labels, float(check.verdict == "drifted"))
    yield from (*families.values(), drifted)


def _check_labels(version: VersionStatus, check: CheckStatus) -> list[str]:
    return [version.model, version.version, check.side, check.column, check.check]


def _alerts(versions: list[VersionStatus]) -> Iterator[Metric]:
    phases = _gauge("alert_phase", "1 for the phase that the alert of a version is in.", (*VERSION, "phase"))
    for version in versions:
        for phase in Phase:
            phases.add_metric([version.model, version.version, phase.value], float(version.alert.phase is phase))
    yield phases


def _outbox(status: Status) -> Iterator[Metric]:
    outbox = status.outbox
    yield _single(_gauge("outbox_pending", "Events that are not delivered.", ()), outbox.pending)
    yield _single(_counter("outbox_refused", "Events refused because too many were pending.", ()), outbox.refused)
    yield _single(_counter("webhook_attempts", "Posts to receivers.", ()), outbox.attempts)
    yield _single(_counter("webhook_delivered", "Events taken, one for each receiver.", ()), outbox.delivered)
    yield _single(_counter("webhook_failures", "Posts that delivered nothing.", ()), outbox.failures)
    yield _single(_gauge("webhook_disabled", "1 when a receiver asked for no more events.", ()), outbox.disabled)


def _log(status: Status) -> Iterator[Metric]:
    log, loop = status.log, status.loop
    yield _single(_gauge("log_lag_bytes", "Bytes of the log that are not read.", ()), log.lag_bytes)
    yield _single(_gauge("watermark_timestamp_seconds", "Event time up to which minutes close.", ()), log.watermark_s)
    counted = _counter("log", "What became of records of the log, by word.", ("what",))
    for what, n in log.counters.items():
        counted.add_metric([what], n)
    yield counted
    for name, help_, found in (
        ("lost_records", "Records lost from the log.", log.lost_records),
        ("lost_holes", "Holes of unknown size in the log.", log.lost_holes),
    ):
        family = _counter(name, help_, ("reason",))
        for reason, n in found.items():
            family.add_metric([reason], n)
        yield family
    yield _single(_counter("ticks", "Ticks of the loop.", ()), loop.ticks)
    yield _single(_counter("tick_errors", "Ticks that failed and went back to the checkpoint.", ()), loop.errors)
    yield _single(_counter("checkpoints", "Checkpoints written.", ()), loop.checkpoints)
    yield _single(_gauge("keys", "Versions × arms that are counted.", ()), loop.keys)
    yield _single(_gauge("state_bytes", "Bytes that the counts can grow to.", ()), loop.state_bytes)
    yield _single(_gauge("reserve_bytes", "Space held back; 0: the disk is full.", ()), loop.reserve_bytes)


def _explained(explained: ExplainStatus) -> Iterator[Metric]:
    yield _single(_counter("explained_events", "New events that were explained.", ()), explained.explained)
    yield _single(_counter("explain_skipped", "Events that were not, too many waited.", ()), explained.skipped)
    failures = _counter("explain_failures", "Explanations that failed; the event says what it says.", ("reason",))
    for reason, n in explained.failures.items():
        failures.add_metric([reason], n)
    yield failures


def _archive(archive: ArchiveStatus) -> Iterator[Metric]:
    yield _single(_counter("archive_passes", "Passes of the archive, failed ones included.", ()), archive.passes)
    failures = _counter("archive_failures", "Passes that failed; what was committed before stays.", ("reason",))
    for reason, n in archive.failures.items():
        failures.add_metric([reason], n)
    yield failures
    let_go = _counter("archive_let_go", "Log segments and archive files that retention took away.", ("what",))
    let_go.add_metric(["segments"], archive.let_go_segments)
    let_go.add_metric(["files"], archive.let_go_files)
    yield let_go
    for name, help_, n in (
        ("archived_segments", "Log segments archived.", archive.segments),
        ("archived_rows", "Rows archived.", archive.rows),
        ("archived_raw_bytes", "Bytes of the log segments that were archived.", archive.segment_bytes),
        ("archived_bytes", "Bytes that they are in the archive.", archive.file_bytes),
        ("archive_lost_records", "Records found lost while archiving.", archive.lost_records),
        ("archive_lost_holes", "Holes of unknown size found while archiving.", archive.lost_holes),
        (
            "archive_malformed_blocks",
            "Tables of rows that contradict their schema: null in the archive.",
            archive.malformed,
        ),
    ):
        yield _single(_counter(name, help_, ()), n)
    for name, help_, value in (
        ("archive_pass_seconds", "What the last pass took.", archive.took_s),
        ("archive_damaged_files", "Files of the archive that the last pass found damaged.", archive.damaged_files),
        (
            "archive_waiting_segments",
            "Sealed log segments that are not archived.",
            archive.waiting_segments,
        ),
        ("archive_waiting_bytes", "Bytes of them.", archive.waiting_bytes),
    ):
        yield _single(_gauge(name, help_, ()), value)
    oldest = _gauge("archive_oldest_waiting_timestamp_seconds", "When the oldest of them was last written.", ())
    if archive.oldest_waiting_s is not None:
        oldest.add_metric([], archive.oldest_waiting_s)
    yield oldest


def _shadows(said: ShadowsSaid) -> Iterator[Metric]:
    """Of two digests of one name the later one in the list."""
    requests = _gauge("shadow_requests", "Requests that both answered, over the shadow window.", RIVAL)
    failed = _gauge("shadow_failed", "Requests that the shadow could not answer, over the shadow window.", RIVAL)
    latency = _gauge(
        "shadow_latency_difference_seconds", "Shadow's time in the runtime less the answer's.", (*RIVAL, "quantile")
    )
    agreement = _gauge("shadow_agreement_ratio", "Share of rows in which both agree.", (*RIVAL, "output"))
    mean = _gauge("shadow_mean_difference", "Mean of shadow less answer.", (*RIVAL, "output"))
    drift = _gauge("shadow_drift", "Total variation between both, on training's bins.", (*RIVAL, "output"))
    for labels, one in {(one.model, one.version, one.shadow): one for one in said.compared}.items():
        requests.add_metric(labels, one.requests)
        failed.add_metric(labels, one.failed)
        for q, name in (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99")):
            if (ms := one.latency_ms[name]) is not None:
                latency.add_metric([*labels, q], ms / 1000)
        for output in one.outputs:
            shown = ((agreement, output.agreement), (drift, output.drift))
            for family, value in (*shown, (mean, output.difference.mean if output.difference else None)):
                if value is not None:
                    family.add_metric([*labels, output.output], value)
    yield from (requests, failed, latency, agreement, mean, drift)
    unpaired = _counter("shadow_unpaired", "Shadow answers compared with nothing.", ("model", "shadow", "reason"))
    for found in said.unpaired:
        unpaired.add_metric([found.model, found.shadow, found.reason], found.n)
    yield unpaired
    yield _single(_counter("shadow_refused", "Pairs beyond the limit of rivals.", ()), said.refused)
    yield _single(_counter("shadow_forgotten", "Pairs that came after their window was over.", ()), said.forgotten)


def _gauge(name: str, help_: str, labels: tuple[str, ...]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", help_, labels=labels)


def _counter(name: str, help_: str, labels: tuple[str, ...]) -> CounterMetricFamily:
    return CounterMetricFamily(f"{PREFIX}_{name}", help_, labels=labels)


def _single(family: GaugeMetricFamily | CounterMetricFamily, value: float) -> Metric:
    family.add_metric([], float(value))
    return family
