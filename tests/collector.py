"""An OpenTelemetry collector as a test sees it: a real HTTP server that reads OTLP with the protocol's own messages."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message


class Got(NamedTuple):
    """One span as it came, ids in hexadecimal."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    links: list[str]
    error: bool
    state: str
    resource: dict[str, Any]

    @property
    def us(self) -> int:
        return (self.end_ns - self.start_ns) // 1000


class Collector:
    """Answers every export with `status`, which a test may change; `held`: none is answered until it is set."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.held = threading.Event()
        self.held.set()
        self.exports: list[dict[str, str]] = []
        self._spans: list[Got] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                collector.held.wait()
                collector.take(self.path, headers, body)
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Quiet: what came is in `spans`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Reads one export."""
        assert (path, headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
        self.exports.append(headers)
        plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        if self.status == 200:
            self._spans += _spans(ExportTraceServiceRequest.FromString(plain))

    def spans(self, name: str = "", **attributes: Any) -> list[Got]:
        """Of those that were taken, the ones whose name begins so, with these attributes (`_` stands for `.`)."""
        wanted = {key.replace("_", "."): value for key, value in attributes.items()}
        return [one for one in self._spans if one.name.startswith(name) and wanted.items() <= one.attributes.items()]

    def of(self, request_id: str) -> dict[str, list[Got]]:
        """All spans of one request by name, its own under "predict"; empty while they have not come."""
        found: dict[str, list[Got]] = {}
        for root in self._spans:
            if root.attributes.get("plumbline.request_id") == request_id:
                found["predict"] = [root]
                for one in self._below(root):
                    found.setdefault(one.name, []).append(one)
        return found

    def _below(self, span: Got) -> Iterator[Got]:
        for one in self._spans:
            if (one.trace_id, one.parent_id) == (span.trace_id, span.span_id):
                yield one
                yield from self._below(one)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.held.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _spans(request: ExportTraceServiceRequest) -> Iterator[Got]:
    for group in request.resource_spans:
        resource = _plain(group.resource.attributes)
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Got(
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    Message.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    _plain(span.attributes),
                    [link.span_id.hex() for link in span.links],
                    span.status.code == 2,
                    span.trace_state,
                    resource,
                )


def _plain(pairs: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        assert isinstance(pair, KeyValue)
        found[pair.key] = getattr(pair.value, str(pair.value.WhichOneof("value")))
    return found
