"""Sends spans to a collector by OTLP over HTTP: the only file that imports opentelemetry (extra `tracing`).

Laws
- Where spans go is the setting `otlp_endpoint`; of the environment's OTEL_… those count that name credentials and certificates
  (OTEL_EXPORTER_OTLP_HEADERS, …_CERTIFICATE, …_CLIENT_KEY, …_CLIENT_CERTIFICATE). No proxy of HTTP(S)_PROXY, no netrc.
- Nothing is registered with OpenTelemetry: no provider, no propagator, so what others trace in this process is left alone.
"""

import logging
from collections.abc import Iterator, Sequence
from random import getrandbits

import requests  # the exporter's own client, which it brings
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from service.spans import Span
from service.trace_context import Trace
from service.tracing_errors import ExportFailed

PATH = "/v1/traces"
EXPORT_TIMEOUT_S = 5.0  # with the exporter's own retries: nothing waits for it but the queue
SERVICE = "plumbline"
_FOLLOWED = TraceFlags(TraceFlags.SAMPLED)
_EXPORTER_SPEAKS_AS = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


class OtlpExporter:
    """One a worker; `instance` tells its spans from those of others."""

    def __init__(self, endpoint: str, *, release: str, instance: str) -> None:
        self._resource = Resource(
            {"service.name": SERVICE, "service.version": release, "service.instance.id": instance}
        )
        self._scope = InstrumentationScope(SERVICE, release)
        self._heard = _Heard()
        session = requests.Session()
        session.trust_env = False
        self._exporter = OTLPSpanExporter(
            endpoint.rstrip("/") + PATH, timeout=EXPORT_TIMEOUT_S, compression=Compression.Gzip, session=session
        )

    def export(self, requests: Sequence[tuple[Trace, Span]]) -> None:
        """All spans of these requests in one call. Raises ExportFailed."""
        spans = [span for trace, whole in requests for span in self._all(trace, whole)]
        if self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise ExportFailed(self._heard.last)

    def close(self) -> None:
        """Ends the wait for a retry."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _all(self, trace: Trace, whole: Span) -> Iterator[ReadableSpan]:
        state = TraceState.from_header([trace.state]) if trace.state else TraceState()
        caller = _context(trace.trace_id, trace.parent_id, state, remote=True) if trace.parent_id else None
        own = _context(trace.trace_id, trace.span_id, state)
        yield from self._below(whole, own, caller, SpanKind.SERVER)

    def _below(
        self, span: Span, context: SpanContext, parent: SpanContext | None, kind: SpanKind = SpanKind.INTERNAL
    ) -> Iterator[ReadableSpan]:
        yield ReadableSpan(
            span.name,
            context,
            parent,
            self._resource,
            span.attributes,
            links=[Link(_context(other.trace_id, other.span_id, TraceState())) for other in span.links],
            kind=kind,
            status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self._scope,
        )
        for child in span.children:
            own = _context(context.trace_id, getrandbits(64) or 1, context.trace_state)
            yield from self._below(child, own, context)


def _context(trace_id: int, span_id: int, state: TraceState, *, remote: bool = False) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=remote, trace_flags=_FOLLOWED, trace_state=state)


class _Heard(logging.Handler):
    """Keeps what the exporter says of a failure, which is in no result of it; it is said once, in a line of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""
        logger = logging.getLogger(_EXPORTER_SPEAKS_AS)
        logger.handlers, logger.propagate = [self], False

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()
