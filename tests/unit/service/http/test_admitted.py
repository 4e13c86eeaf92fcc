"""What happens at the door: a worker's real connections without sockets, many requests in one turn of the loop."""

import asyncio
import gzip
import re
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import uvicorn
from msgspec.structs import replace
from uvicorn.server import ServerState

from service.connection import CLOSE
from service.featurelog.record import Outcome
from service.http.admitted import AdmittedConnection
from service.lane import Lane
from service.pace import FIRST_COST_US, READ_US, TURN_US
from tests.unit.service.serving import ROW, Service, serving, until

pytestmark = pytest.mark.slow

PREDICT = "/v1/models/mixed:predict"
CROWD = 100
BEGIN_AT_ONCE = int(TURN_US / FIRST_COST_US)


class Wire(asyncio.Transport):
    """What a client would read, and whether it is still there."""

    def __init__(self, order: list["Wire"]) -> None:
        super().__init__()
        self.sent, self.closed, self.ended, self.order = b"", False, False, order

    def write(self, data: Any) -> None:
        assert not self.ended, "a write after the end"
        self.sent += data
        self.order.append(self)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        """Nothing is read here."""

    resume_reading = pause_reading

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True


class Client:
    """One connection of a client to the worker."""

    def __init__(self, config: uvicorn.Config, state: ServerState, order: list[Wire]) -> None:
        self.wire = Wire(order)
        self.connection = AdmittedConnection(config, state, {})
        self.connection.connection_made(self.wire)

    def asks(self, *headers: str, path: str = PREDICT, method: str = "POST", rows: int = 1) -> bytes:
        body = msgspec.json.encode({"instances": [ROW] * rows}) if method == "POST" else b""
        head = "\r\n".join([f"{method} {path} HTTP/1.1", f"content-length: {len(body)}", *headers, "", ""])
        return head.encode() + body

    def send(self, *headers: str, **given: Any) -> None:
        self.connection.data_received(self.asks(*headers, **given))

    @property
    def answers(self) -> list[tuple[int, str]]:
        """Status and text of each."""
        parts = self.wire.sent.decode("latin-1").split("HTTP/1.1 ")[1:]
        return [(int(part[:3]), part) for part in parts]

    @property
    def statuses(self) -> list[int]:
        return [status for status, _ in self.answers]


Test = Callable[[Service, Callable[[], Client]], Awaitable[None]]


def run(tmp_path: Path, test: Test, **settings: Any) -> None:
    async def inside() -> None:
        async with serving(tmp_path, **settings) as service:
            lane = Lane(None)
            lane.open(service.worker.edge, service.worker.admission, service.worker.guard)
            config, state = uvicorn.Config(lane, log_config=None), ServerState()
            clients: list[Client] = []
            order: list[Wire] = []  # of everybody's answers

            def connect() -> Client:
                clients.append(Client(config, state, order))
                return clients[-1]

            await test(service, connect)
            for client in clients:  # their keep-alive timers end with them
                client.connection.connection_lost(None)

    asyncio.run(inside())


async def answered(*clients: Client) -> Counter[int]:
    await until(lambda: all(client.answers for client in clients), "all are answered")
    return Counter(client.statuses[0] for client in clients)


def test_a_crowd_is_answered_in_the_order_in_which_it_came(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        crowd = [connect() for _ in range(CROWD)]
        for number, client in enumerate(crowd):
            client.send(f"x-request-id: {number}")
        assert service.worker.admission.waiting == CROWD - BEGIN_AT_ONCE
        service.worker.admission._pace.portion = 2 * CROWD  # there is room all at once
        crowd.append(connect())
        crowd[-1].send(f"x-request-id: {CROWD}")
        assert await answered(*crowd) == {200: CROWD + 1}
        assert [int(record.request_id) for record in service.requests()] == list(range(CROWD + 1))
        assert (service.worker.admission.waiting, service.worker.admission.unbegun) == (0, 0)

    run(tmp_path, test)


def test_whoever_finds_no_room_is_refused_at_once_and_on_record(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        crowd = [connect() for _ in range(CROWD)]
        for number, client in enumerate(crowd):
            client.send(f"X-Request-Id: id-{number}")
        refused = crowd[BEGIN_AT_ONCE + 5 :]
        assert all(client.statuses == [503] for client in refused)  # before anything else has been done
        assert await answered(*crowd) == {200: BEGIN_AT_ONCE + 5, 503: len(refused)}
        _, text = refused[-1].answers[0]
        head, _, body = text.partition("\r\n\r\n")
        error = msgspec.json.decode(body)
        assert "retry-after: 1\r\n" in head and f"x-request-id: id-{CROWD - 1}" in head
        assert f"content-length: {len(body)}" in head and "content-type: application/json" in head
        assert (error["code"], error["request_id"], error["details"]) == ("overloaded", f"id-{CROWD - 1}", [])
        assert error["error"] == "queue: 5 requests wait, at most 5 may; try again in 1 s"
        records = {record.request_id: record for record in service.requests()}
        assert len(records) == CROWD
        record = records[f"id-{CROWD - 1}"]
        assert (record.outcome, record.status, record.code) == (Outcome.SHED, 503, "overloaded")
        assert (record.model, record.protocol, record.features) == ("mixed", "v1", None)
        assert service.worker.log.received == CROWD
        refused[-1].send()  # later there is room again
        await until(lambda: refused[-1].statuses == [503, 200], "answered")

    run(tmp_path, test, max_waiting_requests=5)


def test_a_burst_that_could_not_even_wait_does_not_shut_the_door_for_ever(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        service.worker.admission._waiting_max = 0
        crowd = [connect() for _ in range(CROWD)]
        for client in crowd:
            client.send()
        service.worker.admission.pressure.high = True
        assert await answered(*crowd) == {200: BEGIN_AT_ONCE, 503: CROWD - BEGIN_AT_ONCE}
        crowd[-1].send()
        await until(lambda: len(crowd[-1].answers) == 2, "answered")
        assert crowd[-1].statuses == [503, 200] and not service.worker.admission.pressure.high

    run(tmp_path, test)


def test_while_the_worker_drains_a_refusal_says_that_the_connection_closes(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        crowd = [connect() for _ in range(CROWD)]
        crowd[0].connection.server_state.default_headers = [CLOSE]
        for client in crowd:
            client.send()
        assert await answered(*crowd) == {200: BEGIN_AT_ONCE + 5, 503: CROWD - BEGIN_AT_ONCE - 5}
        assert all("connection: close\r\n" in client.answers[0][1] and client.wire.closed for client in crowd)
        assert len(service.requests()) == CROWD

    run(tmp_path, test, max_waiting_requests=5)


def test_what_is_refused_in_parts_is_refused_all_the_same_and_its_connection_goes_on(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        crowd = [connect() for _ in range(CROWD)]
        for client in crowd:
            client.send()
        late = connect()
        head, _, body = late.asks().partition(b"\r\n\r\n")
        late.connection.data_received(head + b"\r\n\r\n")
        assert late.answers == []  # it is the parser's
        assert await answered(late) == {503: 1}
        late.connection.data_received(body)
        late.send()
        await until(lambda: late.statuses == [503, 200], "answered")

    run(tmp_path, test, max_waiting_requests=5)


def test_a_pipelined_request_is_not_answered_before_the_one_in_front_of_it(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        crowd = [connect() for _ in range(CROWD)]
        for client in crowd:
            client.send()
        waits = crowd[BEGIN_AT_ONCE + 1]
        waits.send("x-request-id: second")
        assert waits.answers == []
        await until(lambda: len(waits.answers) == 2, "both are answered")
        assert waits.statuses[0] == 200 and "x-request-id: second" in waits.answers[1][1]

    run(tmp_path, test, max_waiting_requests=5)


def test_health_metrics_and_admin_do_not_wait_for_predictions(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        crowd = [connect() for _ in range(4 * CROWD)]
        for client in crowd:
            client.send()
        others = [connect() for _ in range(4)]
        for client, path in zip(others, ("/livez", "/readyz", "/v2/models/mixed", "/admin/routes"), strict=True):
            client.send("authorization: Bearer secret", path=path, method="GET")
        assert await answered(*others, *crowd) == {200: 4 + 4 * CROWD}
        order = others[0].wire.order
        assert all(order.index(client.wire) < order.index(crowd[BEGIN_AT_ONCE].wire) for client in others)

    run(tmp_path, test, admin_token="secret")


def test_nobody_waits_at_the_door_for_more_than_its_share_of_its_time(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        crowd = [connect() for _ in range(CROWD)]
        for client in crowd:
            client.send()
        hurried, patient = connect(), connect()
        hurried.send("x-request-timeout-ms: 20")  # 70 wait, 100 µs each
        patient.send("x-request-timeout-ms: 1000")
        assert (hurried.statuses, patient.statuses) == ([503], [])
        told = "70 requests wait, at most 41 may in the time that this request has; try again in 1 s"
        assert told in hurried.answers[0][1]
        hurried.send("x-request-timeout-ms: 25")  # in the same turn, of its own limit
        assert "at most 51 may" in hurried.answers[1][1]
        assert await answered(patient) == {200: 1}

    run(tmp_path, test)


def test_only_what_is_refused_unread_counts_for_the_pace_of_the_turn(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        admission, crowd = service.worker.admission, [connect() for _ in range(CROWD)]
        for client in crowd:
            client.send()
        refused, refusing_us = sum(client.statuses == [503] for client in crowd), admission._refusing_us
        assert refused == CROWD - BEGIN_AT_ONCE - 5 and refusing_us > refused * READ_US
        crowd[-1].send(path="/v1/models/mixed:feedback")  # no prediction: it is read, and answered as always
        assert admission._refusing_us == refusing_us
        await answered(*crowd)
        crowd[-1].send()
        await until(lambda: not admission.waiting and admission.unbegun == 0, "the crowd is through")
        crowd[0].send()
        assert admission._refusing_us == 0

    run(tmp_path, test, max_waiting_requests=5)


def test_the_cut_leaves_nobody_without_a_record_and_an_answer(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        crowd = [connect() for _ in range(CROWD)]
        drain, ended = service.worker.drain, asyncio.Event()
        drain._server = SimpleNamespace(
            server_state=crowd[0].connection.server_state,
            config=SimpleNamespace(encoded_headers=[]),
            handle_exit=lambda *_: ended.set(),
        )
        drain.begin(signal.SIGINT)
        for number, client in enumerate(crowd):
            client.send(f"x-request-id: {number}")
        await asyncio.wait_for(ended.wait(), 10)
        crowd.append(connect())
        crowd[-1].send(f"x-request-id: {CROWD}")  # it comes after the cut
        answers = await answered(*crowd)
        assert all(len(client.answers) == 1 and client.wire.closed for client in crowd)
        records = service.requests()
        assert Counter(record.status for record in records) == answers
        assert Counter(record.request_id for record in records) == {str(number): 1 for number in range(CROWD + 1)}
        codes = {int(record.request_id): record.code for record in records}
        assert {codes[number] for number in range(BEGIN_AT_ONCE, CROWD + 1)} == {"cut_off"}
        assert (service.worker.admission.waiting, service.worker.admission.unbegun) == (0, 0)

    run(tmp_path, test, drain_s=0, grace_s=0)


def test_whoever_goes_while_it_waits_is_not_run_and_on_record(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        crowd = [connect() for _ in range(CROWD)]
        for number, client in enumerate(crowd):
            client.send(f"x-request-id: {number}")
        gone = [str(number) for number in range(50, CROWD)]
        for number in gone:
            crowd[int(number)].connection.connection_lost(None)
        assert await answered(*crowd[:50]) == {200: 50}
        await until(lambda: len(service.requests()) == CROWD, "all are on record")
        codes = {record.request_id: record.code for record in service.requests()}
        assert {number for number, code in codes.items() if code == "client_gone"} == set(gone)

    run(tmp_path, test)


def test_whoever_goes_after_a_second_request_has_its_first_not_run_either(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        crowd = [connect() for _ in range(CROWD)]
        for number, client in enumerate(crowd):
            client.send(f"x-request-id: {number}")
        gone = crowd[-1]
        gone.send("x-request-id: second")
        gone.connection.connection_lost(None)
        assert await answered(*crowd[:-1]) == {200: CROWD - 1}
        await until(lambda: len(service.requests()) == CROWD, "all are on record")
        codes = {record.request_id: record.code for record in service.requests()}
        assert (codes.pop(str(CROWD - 1)), set(codes.values()), "second" in codes) == ("client_gone", {""}, False)

    run(tmp_path, test)


def test_above_the_limit_of_connections_all_but_predictions_are_answered(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        crowd = [connect() for _ in range(CROWD)]
        for client in crowd:
            client.send()
        assert service.worker.admission.pressure.high
        surplus, probe, shut = connect(), connect(), connect()
        surplus.send("x-request-id: surplus")
        surplus.send("x-request-id: deaf")
        probe.send(path="/livez", method="GET")
        shut.send("connection: upgrade", "upgrade: websocket", path="/v2/health/ready", method="GET")
        await answered(*crowd, surplus, probe, shut)
        assert surplus.statuses == [503] and "too_many_connections" in surplus.answers[0][1]
        assert (probe.statuses, shut.statuses) == ([200], [200])
        assert all(client.wire.closed for client in (surplus, probe, shut))
        on_record = {record.request_id: record.code for record in service.requests()}
        assert on_record["surplus"] == "too_many_connections" and "deaf" not in on_record

    run(tmp_path, test, max_waiting_requests=5, max_connections=CROWD)


def test_below_the_limit_of_connections_a_crowd_keeps_its_own(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        crowd = [connect() for _ in range(CROWD)]
        for client in crowd:
            client.send()
        await answered(*crowd)
        crowd[-1].connection.connection_lost(None)
        last = connect()
        last.send()
        assert await answered(last) == {200: 1}
        assert not last.wire.closed

    run(tmp_path, test, max_connections=CROWD)


def test_a_prediction_above_the_limit_is_refused_unread_and_as_others_are(tmp_path: Path) -> None:
    """However it came: in one piece, which is not even parsed, or in two."""

    async def test(service: Service, connect: Callable[[], Client]) -> None:
        crowd = [connect() for _ in range(CROWD)]
        assert not service.worker.admission.pressure.high
        whole, halves = connect(), connect()
        whole.send("x-request-id: whole")
        assert whole.statuses == [503] and whole.wire.closed and whole.connection.cycle is None
        head, _, body = halves.asks("x-request-id: parts").partition(b"\r\n\r\n")
        halves.connection.data_received(head + b"\r\n\r\n")
        halves.connection.data_received(body)
        await answered(halves)
        said = [client.answers[0][1].replace("parts", "whole") for client in (whole, halves)]
        assert sorted(said[0].split("\r\n")) == sorted(said[1].split("\r\n"))
        assert not any(client.answers for client in crowd)
        assert [record.code for record in service.requests()] == ["too_many_connections"] * 2

    run(tmp_path, test, max_connections=CROWD)


GZIPPED = gzip.compress(msgspec.json.encode({"instances": [ROW]}))
ONE, MANY = msgspec.json.encode({"instances": [ROW]}), msgspec.json.encode({"instances": [ROW] * 500})
ASKED = {
    "plain": (PREDICT, ONE, []),
    "two ids": (PREDICT, ONE, ["Connection: keep-alive", "X-Request-Id:  mine", "x-request-id: other"]),
    "an id that is none": (PREDICT, ONE, ["x-request-id: no valid one"]),
    "no time": (PREDICT, ONE, ["x-request-timeout-ms: soon"]),
    "a type that is none": (PREDICT, ONE, ["content-type: application/xml"]),
    "arrow": (PREDICT, ONE, ["accept: application/vnd.apache.arrow.stream"]),
    "an unknown coding": (PREDICT, ONE, ["content-encoding: br"]),
    "gzip": (PREDICT, GZIPPED, ["content-encoding: gzip"]),
    "gzip back": (PREDICT, MANY, ["accept-encoding: gzip"]),
    "many rows": (PREDICT, MANY, []),
    "no JSON": (PREDICT, b"{", []),
    "nothing": (PREDICT, b"", []),
    "a version": ("/v1/models/mixed/versions/2:predict", ONE, []),
    "no such version": ("/v1/models/mixed/versions/9:predict", ONE, []),
    "no such model": ("/v1/models/none:predict", ONE, []),
    "another protocol": ("/v2/models/mixed/infer", ONE, []),
    "a query": ("/v1/models/mixed:predict?a=b", ONE, []),
    "feedback": ("/v1/models/mixed:feedback", ONE, []),
}


@pytest.mark.parametrize(("path", "body", "headers"), ASKED.values(), ids=ASKED.keys())
def test_read_whole_or_in_parts_a_request_has_the_same_answer_to_the_byte(
    tmp_path: Path, path: str, body: bytes, headers: list[str]
) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        named = headers if any("request-id" in header for header in headers) else ["x-request-id: same", *headers]
        head = "\r\n".join([f"POST {path} HTTP/1.1", f"Content-Length: {len(body)}", *named, "", ""]).encode("latin-1")
        whole, parts = connect(), connect()
        for _ in range(2):  # the second on a connection that was used
            whole.connection.data_received(head + body)
            parts.connection.data_received(head[:20])
            parts.connection.data_received(head[20:])
            parts.connection.data_received(body)
            await answered(whole, parts)
            said = [re.sub(rb"\w{12}-\w+", b"made", client.wire.sent) for client in (whole, parts)]
            assert said[0] == said[1]
            assert replace(whole.connection.look(), moved_bytes=0) == replace(parts.connection.look(), moved_bytes=0)
            whole.wire.sent = parts.wire.sent = b""
        assert whole.wire.closed == parts.wire.closed
        records = [
            replace(one, at_us=0, request_id="", bucket=0, queue_us=0, compute_us=0, total_us=0)
            for one in service.requests()
        ]
        assert all(record == records[0] for record in records)

    run(tmp_path, test)


def test_a_request_that_comes_while_a_plain_one_is_answered_has_its_answer_after_it(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        client = connect()
        client.send("x-request-id: first")
        client.send("x-request-id: second")
        client.send("x-request-id: third", path="/livez", method="GET")
        await until(lambda: len(client.answers) == 3, "all are answered")
        assert [
            f"x-request-id: {word}" in answer
            for word, (_, answer) in zip(("first", "second", "third"), client.answers, strict=True)
        ] == [True] * 3

    run(tmp_path, test)


def test_an_answer_to_a_plain_request_whose_client_has_gone_is_counted(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        client = connect()
        client.send("x-request-id: gone")
        client.connection.connection_lost(None)
        await until(service.requests, "it is on record")
        assert client.answers == [] and [record.request_id for record in service.requests()] == ["gone"]

    run(tmp_path, test)


def test_a_plain_request_whose_task_is_cancelled_leaves_no_client_on_an_open_connection(tmp_path: Path) -> None:
    async def test(service: Service, connect: Callable[[], Client]) -> None:
        client = connect()
        client.send("x-request-id: cancelled")
        (task,) = client.connection.tasks
        await asyncio.sleep(0)  # it has begun
        task.cancel()
        await until(lambda: client.wire.closed, "the connection is closed")
        await until(service.requests, "it is on record")
        assert client.answers == []

    run(tmp_path, test)
