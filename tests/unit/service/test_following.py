"""A worker that is traced: whom it follows, what its spans say, and that nobody's answer is another for it."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.featurelog.record import Request
from service.following import FollowingPredictor
from service.predict import Predictor
from service.span_sender import SpanSender
from service.wiring import Worker
from tests.collector import Collector, Got
from tests.unit.service.serving import ROW, Service, run, until

pytestmark = pytest.mark.slow

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FOLLOWED, LEFT = (f"00-{TRACE}-{CALLER}-{flags}".encode() for flags in ("01", "00"))


def named(name: str, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [(b"x-request-id", name.encode()), *more]


def sender(worker: Worker) -> SpanSender:
    assert worker.sender is not None
    return worker.sender


def record_of(service: Service, request_id: str) -> Request:
    return next(one for one in service.requests() if one.request_id == request_id)


def within(child: Got, parent: Got) -> bool:
    return parent.start_ns <= child.start_ns <= child.end_ns <= parent.end_ns


def test_a_followed_request_leaves_the_spans_that_its_record_tells_of(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        given = named("mine", (b"traceparent", FOLLOWED), (b"tracestate", b"vendor=1,other=2"))
        assert (await service.predict(ROW, ROW, headers=given)).status == 200
        await asyncio.to_thread(sender(service.worker).close)
        found, record = collector.of("mine"), record_of(service, "mine")
        (whole,), (queue,), (batch,), (ran,), (append,) = (
            found[name] for name in ("predict", "queue", "batch", "run", "log append")
        )
        assert (whole.name, whole.kind, whole.error) == ("predict mixed", "server", False)
        assert {one.trace_id for one in (whole, queue, batch, ran, append)} == {TRACE}
        assert whole.parent_id == CALLER and whole.state == "vendor=1,other=2"
        assert {one.parent_id for one in (queue, batch, append)} == {whole.span_id} and ran.parent_id == batch.span_id
        assert all(within(one, whole) for one in (queue, batch, append)) and within(ran, batch)
        assert (queue.us, ran.us) == (record.queue_us, record.compute_us)
        assert append.end_ns == whole.end_ns and whole.us - append.us in (record.total_us, record.total_us - 1)
        assert whole.attributes == {
            "http.request.method": "POST", "http.response.status_code": 200, "plumbline.request_id": "mine",
            "plumbline.protocol": "v1", "plumbline.outcome": "answered", "plumbline.rows": 2,
            "plumbline.model": "mixed", "plumbline.version": "1", "plumbline.arm": "stable",
        }  # fmt: skip
        assert batch.attributes == {
            "plumbline.version": "1", "plumbline.arm": "stable", "plumbline.rows": 2,
            "plumbline.batch.rows": 2, "plumbline.batch.requests": 1,
        }  # fmt: skip
        assert whole.resource["service.name"] == "plumbline" and whole.resource["service.version"]

    with Collector() as collector:
        run(tmp_path, test, otlp_endpoint=collector.url, trace_sample=0)


def test_requests_of_one_run_are_linked_to_each_other_and_know_its_rows(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        for _ in range(8):  # the queue is trusted with joined rows after its proofs
            await service.predict(ROW, ROW)
        names = [f"r{number}" for number in range(4)]
        given = [named(name, *([(b"traceparent", FOLLOWED)] if name != "r3" else [])) for name in names]
        replies = await asyncio.gather(*(service.predict(ROW, headers=one) for one in given))
        assert {one.status for one in replies} == {200}
        await asyncio.to_thread(sender(service.worker).close)
        found = [collector.of(name) for name in names[:3]]
        batches = [one["batch"][0] for one in found]
        joined = [one for one in batches if one.attributes["plumbline.batch.requests"] > 1]
        assert joined, "no two of four requests of one moment were run together"
        roots = {one["predict"][0].span_id for one in found}
        for one in joined:
            assert one.attributes["plumbline.batch.rows"] == one.attributes["plumbline.batch.requests"]
            assert set(one.links) <= roots - {one.parent_id}
        for one, name in zip(found, names, strict=False):
            record = record_of(service, name)
            assert (one["queue"][0].us, one["run"][0].us) == (record.queue_us, record.compute_us)
        assert collector.of("r3") == {}

    with Collector() as collector:
        run(tmp_path, test, otlp_endpoint=collector.url, trace_sample=0, inline_below_us=0)


BAD = {
    "invalid_input": (400, {"instances": [{**ROW, "ratio": "x"}]}),
    "too_many_rows": (413, {"instances": [ROW] * 6}),
    "body_too_large": (413, b"x" * 3000),
}


def test_a_request_that_gets_no_prediction_says_why(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        for code, (status, body) in BAD.items():
            given = named(
                code, (b"traceparent", FOLLOWED), (b"content-length", b"%d" % (3000 if body == b"x" * 3000 else 9))
            )
            assert (await service.ask("POST", "/v1/models/mixed:predict", body, headers=given)).status == status

    with Collector() as collector:
        run(tmp_path, test, otlp_endpoint=collector.url, trace_sample=0, max_rows=5, max_body_bytes=2000)
        for code, (status, _) in BAD.items():
            found = collector.of(code)
            assert set(found) == {"predict", "log append"}
            (whole,) = found["predict"]
            assert (whole.attributes["error.type"], whole.attributes["plumbline.outcome"]) == (code, "rejected")
            assert (whole.attributes["http.response.status_code"], whole.error) == (status, False)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_caller_decides_and_where_it_does_not_the_share(tmp_path: Path, share: float) -> None:
    asked = {"followed": FOLLOWED, "left": LEFT, "invalid": b"00-0-0-00", "alone": None}

    async def test(service: Service) -> None:
        for name, traceparent in asked.items():
            more = [] if traceparent is None else [(b"traceparent", traceparent)]
            assert (await service.predict(ROW, headers=named(name, *more))).status == 200

    with Collector() as collector:
        run(tmp_path, test, otlp_endpoint=collector.url, trace_sample=share)
        found = {name: collector.of(name)["predict"][0] for name in asked if collector.of(name)}
        assert set(found) == ({"followed", "invalid", "alone"} if share else {"followed"})
        for name in set(found) - {"followed"}:
            assert found[name].parent_id == "" and found[name].trace_id != TRACE


def test_answers_and_records_are_the_same_whether_or_not_a_request_is_followed(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        asked = [[(b"traceparent", value)] for value in (FOLLOWED, LEFT)]
        replies = [await service.predict(ROW, headers=named("same", *more)) for more in [*asked, []]]
        assert replies[0] == replies[1] == replies[2]
        assert not {"traceparent", "tracestate", "traceresponse"} & set(replies[0].headers)
        durations = ("at_us", "queue_us", "compute_us", "total_us")
        kept = [
            [getattr(record, field) for field in Request.__struct_fields__ if field not in durations]
            for record in service.requests()
        ]
        assert kept[0] == kept[1] == kept[2]

    with Collector() as collector:
        run(tmp_path, test, otlp_endpoint=collector.url)


def test_a_request_that_failed_has_its_trace_in_the_line_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(service: Service) -> None:
        monkeypatch.setattr(service.worker.batcher, "_queues", None)  # a defect of ours
        with capture_logs() as lines:
            for name, more in (("a", [(b"traceparent", FOLLOWED)]), ("b", [(b"traceparent", LEFT)]), ("c", [])):
                assert (await service.predict(ROW, headers=named(name, *more))).status == 500
        told = [line for line in lines if line["event"] == "predict.failed"]
        assert [line["request_id"] for line in told] == ["a", "b", "c"]
        await asyncio.to_thread(sender(service.worker).close)
        (whole,) = collector.of("a")["predict"]
        assert whole.error and whole.attributes["error.type"] == "internal"
        assert (told[0]["trace_id"], told[0]["span_id"]) == (TRACE, whole.span_id)
        assert told[1]["trace_id"] == TRACE and "span_id" not in told[1]
        assert "trace_id" not in told[2]

    with Collector() as collector:
        run(tmp_path, test, otlp_endpoint=collector.url, trace_sample=0)


def test_a_worker_that_is_not_traced_has_the_path_of_always_and_says_the_caller_s_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(service: Service) -> None:
        assert type(service.worker.predictor) is Predictor and service.worker.sender is None
        monkeypatch.setattr(service.worker.batcher, "_queues", None)
        with capture_logs() as lines:
            await service.predict(ROW, headers=named("a", (b"traceparent", FOLLOWED)))
        (line,) = [line for line in lines if line["event"] == "predict.failed"]
        assert (line["request_id"], line["trace_id"]) == ("a", TRACE)

    run(tmp_path, test)


def test_a_collector_that_is_away_or_slow_costs_no_answer_and_is_counted(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        assert isinstance(service.worker.predictor, FollowingPredictor)
        collector.status = 400
        assert (await service.predict(ROW)).status == 200
        counts = sender(service.worker).counts
        await until(lambda: counts["export_failed"] == 1, "the collector refused it")
        collector.status = 200
        collector.held.clear()  # from now on it answers nobody
        for _ in range(3):
            assert (await service.predict(ROW)).status == 200
        await until(lambda: not sender(service.worker)._waiting, "they are on their way")
        sender(service.worker)._waiting_max = 2
        for _ in range(5):
            assert (await service.predict(ROW)).status == 200
        assert counts["queue_full"] == 3
        service.worker.predictor.publish()
        collected = service.worker.predictor._telemetry._traces.collect()
        assert {s.labels["result"]: s.value for one in collected for s in one.samples if s.name.endswith("_total")} == {
            "exported": 0, "export_failed": 1, "queue_full": 3, "closed": 0,
        }  # fmt: skip
        collector.held.set()
        await until(lambda: counts["exported"] == 5, "what waited was sent")

    with Collector() as collector:
        run(tmp_path, test, otlp_endpoint=collector.url, trace_sample=1)


def test_what_waits_when_a_worker_ends_is_sent(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        assert (await service.predict(ROW, headers=named("last"))).status == 200

    with Collector() as collector:
        run(tmp_path, test, otlp_endpoint=collector.url, trace_sample=1)
        assert set(collector.of("last")) == {"predict", "queue", "batch", "run", "log append"}
