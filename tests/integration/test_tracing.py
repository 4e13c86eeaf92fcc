"""A real service is traced: its spans come to a real receiver of OTLP; one that is not traced does and loads nothing for it."""

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.featurelog.record import Request
from tests.collector import Collector, Got
from tests.processes import ROOT, environment, home, plumbline, served, wait_until
from tests.requests import payments_body
from tests.unit.service.featurelog.writing import read

pytestmark = pytest.mark.integration
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CLIENTS = 8
# What would make OpenTelemetry's own SDK send everything elsewhere, under another name.
OTHERS = {"OTEL_SERVICE_NAME": "other", "OTEL_TRACES_SAMPLER": "always_on", "OTEL_TRACES_EXPORTER": "otlp"}


def test_a_service_s_spans_come_to_a_receiver_as_the_records_have_them(tmp_path: Path) -> None:
    place = home(tmp_path)
    with Collector() as collector, Collector() as other:
        settings = {"PLUMBLINE_OTLP_ENDPOINT": f"{collector.url}/", "PLUMBLINE_TRACE_SAMPLE": "0"}
        surroundings = {
            **OTHERS,
            "OTEL_EXPORTER_OTLP_ENDPOINT": other.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-team=scoring",
            **dict.fromkeys(("http_proxy", "HTTP_PROXY"), other.url),
            **dict.fromkeys(("no_proxy", "NO_PROXY"), ""),
        }
        with (
            served(place, **settings, **surroundings) as (_, url),
            httpx.Client(base_url=url, trust_env=False) as client,
        ):
            began_ns = time.time_ns()
            names = ask_all(client)
            ended_ns = time.time_ns()
            wait_until(lambda: all(collector.of(name) for name in names), 30, "the spans of every followed request")
            # a span is counted when the collector has answered, which has it by then, and published a second later
            wait_until(lambda: exported(client) == len(names), 30, "every followed request is counted")
        records = {one.request_id: one for one in read(place / "log")[0] if isinstance(one, Request)}
        assert len(records) == len(names) + 1 and "left" in records
        for name in names:
            check(collector.of(name), records[name], began_ns, ended_ns)
        roots = collector.spans("predict")
        assert {root.attributes["plumbline.request_id"] for root in roots} == set(names) and len(roots) == len(names)
        assert {one.resource["service.name"] for one in collector.spans()} == {"plumbline"}
        assert {headers["x-team"] for headers in collector.exports} == {"scoring"}
        assert other.exports == []


def ask_all(client: httpx.Client) -> list[str]:
    """Every way into the service, and several clients at once; the names of those that are followed."""

    def ask(name: str, path: str, content: object, flags: str = "01") -> str:
        headers = {"x-request-id": name, "traceparent": f"00-{TRACE}-{CALLER}-{flags}"}
        answer = client.post(path, headers=headers, content=content)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        assert not {"traceparent", "tracestate", "traceresponse"} & set(answer.headers)
        return name

    v1, body = "/v1/models/payments:predict", payments_body(3)
    native = msgspec.json.encode({"model": "payments", **msgspec.json.decode(body)})
    ask("left", v1, body, "00")
    names = [ask("plain", v1, body), ask("in parts".replace(" ", "-"), v1, iter([body[:9], body[9:]]))]
    names.append(ask("native", "/predict", native))
    with ThreadPoolExecutor(CLIENTS) as clients:
        return names + list(clients.map(lambda n: ask(f"many-{n}", v1, body), range(4 * CLIENTS)))


def check(found: dict[str, list[Got]], record: Request, began_ns: int, ended_ns: int) -> None:
    """Parentage, and the times: those of the record, where the wall clock says."""
    (whole,), (queue,), (batch,), (ran,), (append,) = (
        found[name] for name in ("predict", "queue", "batch", "run", "log append")
    )
    assert (whole.trace_id, whole.parent_id, whole.kind) == (TRACE, CALLER, "server")
    assert {queue.parent_id, batch.parent_id, append.parent_id} == {whole.span_id} and ran.parent_id == batch.span_id
    assert began_ns <= whole.start_ns <= whole.end_ns <= ended_ns
    assert whole.start_ns <= queue.start_ns <= queue.end_ns == batch.start_ns == ran.start_ns
    assert ran.end_ns <= batch.end_ns <= append.start_ns <= append.end_ns == whole.end_ns
    assert (queue.us, ran.us) == (record.queue_us, record.compute_us)
    assert (append.start_ns - whole.start_ns) // 1000 == record.total_us
    assert batch.attributes["plumbline.rows"] == record.rows == 3
    assert batch.attributes["plumbline.batch.rows"] == 3 * batch.attributes["plumbline.batch.requests"]


def exported(client: httpx.Client) -> float:
    """How many requests the service says it has sent the spans of."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    found = [one for family in families if family.name == "plumbline_traces" for one in family.samples]
    return sum(one.value for one in found if one.labels == {"result": "exported"})


def test_a_service_that_is_not_traced_loads_nothing_for_it_and_answers_as_ever(tmp_path: Path) -> None:
    with served(home(tmp_path), PYTHONPROFILEIMPORTTIME="1", **OTHERS) as (process, url):
        given = {"x-request-id": "mine"}
        traced = {**given, "traceparent": f"00-{TRACE}-{CALLER}-01"}
        answers = [
            httpx.post(f"{url}/v1/models/payments:predict", headers=headers, content=payments_body(1), trust_env=False)
            for headers in (given, traced)
        ]
        plain, other = ([pair for pair in one.headers.raw if pair[0].lower() != b"date"] for one in answers)
        assert plain == other and answers[0].content == answers[1].content
        loaded = set(re.findall(r"\| +([\w.]+)$", process.output(), re.MULTILINE))
    assert "service.following" in loaded, "the imports of the worker are in its output"
    assert "service.otlp" not in loaded
    assert not {name for name in loaded if name.startswith(("opentelemetry.exporter", "opentelemetry.proto"))}
    code = "import sys, service.wiring; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]", "what BentoML imports of it is all there is"


def test_without_the_extra_the_service_says_so_and_does_not_start(tmp_path: Path) -> None:
    script = tmp_path / "without.py"
    script.write_text("import sys; sys.modules['opentelemetry.exporter'] = None; from plumbline import main; main()")
    serve = [sys.executable, script, *plumbline("serve", "--home", tmp_path / "home")[3:]]
    settings = environment(PLUMBLINE_OTLP_ENDPOINT="http://127.0.0.1:4318", PYTHONPATH=str(ROOT))
    run = subprocess.run(serve, env=settings, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 3
    assert "otlp_endpoint: found" in run.stderr and "pip install 'plumbline[tracing]'" in run.stderr
