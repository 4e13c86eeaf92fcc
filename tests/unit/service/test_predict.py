"""The whole path of one request: what is answered, what is recorded, and that both add up."""

import asyncio
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from models.contract import Column, Contract, Kind, Tensor
from service.featurelog.ledger import audit
from service.featurelog.readable import rows
from service.featurelog.reader import LogReader
from service.featurelog.record import Outcome, SkewKind
from service.featurelog.record import Shadow as ShadowRecord
from tests.onnx_models import echo, install, mixed, mixed_contract, proto
from tests.unit.service.featurelog.test_writer import file_size_limit
from tests.unit.service.featurelog.writing import chunks
from tests.unit.service.serving import ROW, Service, furnish, route, run, until

pytestmark = pytest.mark.slow

V2_TYPES = {"amount": "FP64", "ratio": "FP64", "count": "INT64", "flag": "BOOL", "city": "BYTES"}


def changed(**cells: Any) -> dict[str, Any]:
    return {**ROW, **cells}


def adds_up(service: Service) -> None:
    log = service.worker.log
    assert log.received == log.outcomes.total()
    for outcome in Outcome:
        assert log.outcomes[outcome] == log.logged[outcome] + log.dropped[outcome].total()


def counted(service: Service) -> Counter[str]:
    """Requests by outcome, as the metrics have them."""
    predictor = service.worker.predictor
    predictor.publish()
    found: Counter[str] = Counter()
    for family in predictor._telemetry._requests.collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                found[sample.labels["outcome"]] += int(sample.value)
    return found


# --- what is answered and recorded --------------------------------------------------------------------------------


def test_an_answer_has_one_record_with_what_was_asked_and_answered_when_it_leaves(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        reply = await service.predict(changed(amount=None, city="bergen"), ROW, headers=[(b"x-request-id", b"mine")])
        assert reply.status == 200
        assert (reply.headers["x-model-version"], reply.headers["x-model-arm"]) == ("1", "stable")
        (record,) = service.requests()
        assert (record.request_id, record.outcome, record.status, record.code) == ("mine", Outcome.ANSWERED, 200, "")
        assert (record.protocol, record.model, record.arm, record.rows) == ("v1", "mixed", "stable", 2)
        assert 0 <= record.bucket < 10_000 and record.generation == 2
        assert record.total_us >= record.compute_us >= 0
        schema = chunks(LogReader(service.home / "log"))[0].runs[0].schemas[record.schema]
        assert (schema.model, schema.version) == ("mixed", "1")
        assert record.features is not None and record.outputs is not None
        assert rows(record.features, schema.features) == [changed(amount=None, city="bergen"), ROW]
        answered = rows(record.outputs, schema.outputs)
        assert [row["place"] for row in answered] == ["bergen", "oslo"]
        assert np.isnan(answered[0]["score"]) and answered[1]["score"] == 7.0

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/models/image:predict", {"instances": [[[1, 2], [3, 4]]]}),
        (
            "/v2/models/image/infer",
            {"inputs": [{"name": "image", "shape": [1, 2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}]},
        ),
    ],
)
def test_a_plain_tensor_is_logged_by_digest_and_moments_not_by_value(tmp_path: Path, path: str, body: Any) -> None:
    async def test(service: Service) -> None:
        assert (await service.ask("POST", path, body)).status == 200
        (record,) = service.requests()
        assert record.features is None and record.outputs is not None  # `total` is a column
        assert record.tensors is not None
        assert [(note.name, note.shape, note.mean) for note in record.tensors] == [
            ("image", (1, 2, 2), 2.5),
            ("same", (1, 2, 2), 2.5),
        ]
        assert record.tensors[0].sha256 == record.tensors[1].sha256

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/models/mixed:predict", {"instances": [changed(ratio="x")]}, 400, "invalid_input"),
        ("/v1/models/mixed:predict", {"rows": []}, 400, "malformed_body"),
        ("/v1/models/mixed:predict", {"instances": [ROW] * 6}, 413, "too_many_rows"),
        ("/v1/models/mixed/versions/9:predict", {"instances": [ROW]}, 404, "version_unknown"),
        ("/v1/models/nothing:predict", {"instances": [ROW]}, 404, "model_unknown"),
        ("/v2/models/mixed/infer", {"inputs": []}, 400, "invalid_input"),
        ("/v1/models/image:predict", {"instances": [[["secret", 1], [1, 1]]]}, 400, "invalid_input"),
    ],
)
def test_a_rejected_request_is_recorded_without_its_values(
    tmp_path: Path, path: str, body: Any, status: int, code: str
) -> None:
    async def test(service: Service) -> None:
        reply = await service.ask("POST", path, body)
        assert (reply.status, reply.json["code"]) == (status, code)
        (record,) = service.requests()
        assert (record.outcome, record.status, record.code) == (Outcome.REJECTED, status, code)
        assert (record.features, record.outputs, record.tensors) == (None, None, None)
        assert (record.problems is not None) == (code == "invalid_input")
        adds_up(service)

    run(tmp_path, test, max_rows=5)


def test_names_that_are_not_in_the_contract_are_not_written(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        await service.predict(changed(my_secret_name=1, ratio="my secret value"))
        await service.predict(ROW, model="m" * 100)
        (record, other) = service.requests()
        assert record.problems is not None
        assert [(one.kind, one.column) for one in record.problems] == [
            (SkewKind.UNKNOWN, ""),
            (SkewKind.WRONG_TYPE, "ratio"),
        ]
        assert other.model == "m" * 64
        assert b"secret" not in next((service.home / "log" / "w0").glob("*.seg")).read_bytes()

    run(tmp_path, test)


def test_a_version_in_the_path_pins(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        reply = await service.ask("POST", "/v1/models/mixed/versions/2:predict", {"instances": [ROW]})
        assert reply.json["predictions"][0]["score"] == [107.0]
        assert (reply.headers["x-model-version"], reply.headers["x-model-arm"]) == ("2", "pinned")
        assert [(record.arm, record.bucket) for record in service.requests()] == [("pinned", -1)]

    run(tmp_path, test)


def test_the_same_bytes_under_two_version_names_answer_under_the_name_that_was_asked(tmp_path: Path) -> None:
    furnish(tmp_path)
    install(tmp_path, "mixed", "1-again", mixed(), mixed_contract())

    async def test(service: Service) -> None:
        for version in ("1", "1-again", "1"):
            reply = await service.ask("POST", f"/v1/models/mixed/versions/{version}:predict", {"instances": [ROW]})
            assert reply.headers["x-model-version"] == version
        runs = chunks(LogReader(service.home / "log"))[0].runs
        known = [run.schemas[record.schema].version for run in runs for _, record in run.records]  # type: ignore[union-attr]
        assert known == ["1", "1-again", "1"]

    run(tmp_path, test)


# --- sticky keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["header:X-Customer", "feature:city"])
def test_a_caller_with_a_key_stays_where_he_is(tmp_path: Path, key: str) -> None:
    furnish(tmp_path)
    route(tmp_path, "mixed", stable="1", canary={"version": "2", "percent": 50.0}, key=key)

    async def test(service: Service) -> None:
        seen: dict[int, set[str]] = {}
        for caller in [*range(12), *range(12)]:
            name = f"customer {caller}"
            reply = await service.predict(changed(city=name), headers=[(b"x-customer", name.encode())])
            seen.setdefault(caller, set()).add(reply.headers["x-model-arm"])
        assert all(len(arms) == 1 for arms in seen.values())
        assert {arm for arms in seen.values() for arm in arms} == {"stable", "canary"}

    run(tmp_path, test)


def test_without_a_key_every_request_is_decided_on_its_own(tmp_path: Path) -> None:
    furnish(tmp_path)
    route(tmp_path, "mixed", stable="1", canary={"version": "2", "percent": 50.0})

    async def test(service: Service) -> None:
        arms = Counter([(await service.predict(ROW)).headers["x-model-arm"] for _ in range(40)])
        assert set(arms) == {"stable", "canary"}

    run(tmp_path, test)


# --- testers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "version"), [("stable", "1"), ("canary", "2"), ("1", "1"), ("2", "2"), ("", None), (None, None)]
)
def test_a_tester_chooses_by_the_header_that_is_set_and_counts_for_neither_arm(
    tmp_path: Path, wanted: str | None, version: str | None
) -> None:
    furnish(tmp_path)
    route(tmp_path, "mixed", stable="1", canary={"version": "2", "percent": 0.0}, shadows=[{"version": "2"}])

    async def test(service: Service) -> None:
        headers = [] if wanted is None else [(b"x-plumbline-arm", wanted.encode())]
        reply = await service.predict(ROW, headers=headers)
        arm = "stable" if version is None else "pinned"
        assert (reply.headers["x-model-version"], reply.headers["x-model-arm"]) == (version or "1", arm)
        (record,) = service.requests()
        assert (record.arm, record.bucket == -1) == (arm, version is not None)

    run(tmp_path, test, override_header="X-Plumbline-Arm")


def test_a_tester_who_asks_for_what_is_not_there_is_told_so(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        for wanted in ("canary", "9", "\xff" * 100):
            reply = await service.predict(ROW, headers=[(b"x-plumbline-arm", wanted.encode("latin-1"))])
            assert (reply.status, reply.json["code"]) == (404, "version_unknown")
        reply = await service.ask(
            "POST",
            "/v1/models/mixed/versions/2:predict",
            {"instances": [ROW]},
            headers=[(b"x-plumbline-arm", b"stable")],
        )
        assert reply.headers["x-model-version"] == "2"  # the path is nearer

    run(tmp_path, test, override_header="x-plumbline-arm")


def test_who_may_not_choose_is_routed_like_everybody(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        reply = await service.predict(ROW, headers=[(b"x-plumbline-arm", b"2")])
        assert (reply.headers["x-model-version"], reply.headers["x-model-arm"]) == ("1", "stable")

    run(tmp_path, test)


# --- shadows ------------------------------------------------------------------------------------------------------


def test_a_shadow_is_run_and_recorded_and_changes_no_answer(tmp_path: Path) -> None:
    furnish(tmp_path)
    route(tmp_path, "mixed", stable="1", shadows=[{"version": "2"}])

    async def test(service: Service) -> None:
        reply = await service.predict(ROW)
        assert (reply.json["predictions"][0]["score"], reply.headers["x-model-version"]) == ([7.0], "1")
        await until(lambda: any(isinstance(r, ShadowRecord) for r in service.records()), "the shadow's record")
        (shadow,) = [record for record in service.records() if isinstance(record, ShadowRecord)]
        assert (shadow.request_id, shadow.outcome, shadow.rows) == (reply.headers["x-request-id"], Outcome.ANSWERED, 1)
        assert shadow.outputs is not None and shadow.outputs.cells[:8] == np.float64(107).tobytes()

    run(tmp_path, test)


def test_a_shadow_with_another_order_of_columns_gets_each_value_in_its_place(tmp_path: Path) -> None:
    furnish(tmp_path)
    contract = mixed_contract()
    swapped = Contract(
        features=contract.features[::-1],
        inputs=contract.inputs,
        outputs=contract.outputs,
        output_columns=contract.output_columns,
    )
    fewer = Contract(
        features=(Column(name="other", kind=Kind.FLOAT),),
        inputs=(Tensor(name="other", datatype="FP32", shape=(-1, 1), columns=("other",)),),
        outputs=(Tensor(name="other_out", datatype="FP32", shape=(-1, 1), columns=("other_out",)),),
        output_columns=(Column(name="other_out", kind=Kind.FLOAT),),
    )
    install(tmp_path, "mixed", "3", mixed(), swapped)
    install(tmp_path, "mixed", "4", echo({"other": ("FP32", ["N", 1])}), fewer)
    route(tmp_path, "mixed", stable="1", shadows=[{"version": "3"}, {"version": "4"}])

    async def test(service: Service) -> None:
        assert (await service.predict(changed(amount=1.0, ratio=100.0))).status == 200
        await until(lambda: len(service.records()) == 3, "the records of both shadows")
        shadows = [record for record in service.records() if isinstance(record, ShadowRecord)]
        third, fourth = sorted(shadows, key=lambda record: record.code)  # each has a thread of its own
        assert third.outputs is not None and third.outputs.cells[:8] == np.float64(104).tobytes()
        assert (fourth.outcome, fourth.code, fourth.outputs) == (Outcome.FAILED, "invalid_input", None)

    run(tmp_path, test)


# --- shed and failed ----------------------------------------------------------------------------------------------


def test_what_comes_too_late_is_shed_undecoded(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        for body in (ROW, "no row at all"):
            reply = await service.predict(body)
            assert (reply.status, reply.json["code"]) == (504, "deadline_exceeded")
        for record in service.requests():
            assert (record.outcome, record.model, record.arm) == (Outcome.SHED, "mixed", "stable")
            assert (record.features, record.outputs) == (None, None)

    run(tmp_path, test, timeout_ms=1e-6)


def test_the_shortest_of_header_parameter_and_setting_is_the_deadline(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        inputs = [{"name": n, "shape": [1], "datatype": t, "data": [ROW[n]]} for n, t in V2_TYPES.items()]
        soon, late = 1, 10**9  # µs; as ms the header's

        async def ask(timeout_us: int, header: bytes | None = None) -> int:
            headers = [(b"x-request-timeout-ms", header)] if header else []
            asked = {"inputs": inputs, "parameters": {"timeout": timeout_us}}
            return (await service.ask("POST", "/v2/models/mixed/infer", asked, headers)).status

        assert await ask(soon) == await ask(soon, b"4000") == 504
        assert await ask(late) == await ask(late, b"4000") == 200
        assert await ask(0) == 400
        assert [record.code for record in service.requests()] == [
            *["deadline_exceeded"] * 2, "", "", "invalid_input",
        ]  # fmt: skip
        adds_up(service)

    run(tmp_path, test)


def test_more_than_the_queue_holds_is_shed_at_once_with_a_time_to_come_again(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        await service.predict(ROW)  # its cost is known now, so the next ones queue
        replies = await asyncio.gather(*(service.predict(*[ROW] * 5) for _ in range(8)))
        statuses = Counter(reply.status for reply in replies)
        assert set(statuses) == {200, 503} and statuses[200] >= 2
        refused = next(reply for reply in replies if reply.status == 503)
        assert (refused.json["code"], refused.headers["retry-after"]) == ("overloaded", "1")
        assert Counter(record.status for record in service.requests()[1:]) == statuses
        assert all(record.features is not None for record in service.requests())
        adds_up(service)

    run(tmp_path, test, max_queue_rows=10, inline_below_us=0)


def refusing() -> tuple[bytes, Contract]:
    """Answers a row of zeros, fails on everything else: row 1 of one row is gathered."""
    node = [
        helper.make_node("Cast", ["x"], ["index"], to=7),
        helper.make_node("Flatten", ["index"], ["flat"], axis=0),
        helper.make_node("Gather", ["x", "flat"], ["gathered"], axis=0),
        helper.make_node("Reshape", ["gathered", "shape"], ["y"]),
    ]
    shape = helper.make_tensor("shape", 7, [2], [-1, 1])
    model = proto(node, {"x": ("FP32", ["N", 1])}, {"y": ("FP32", ["M", 1])}, [shape]).SerializeToString()
    contract = Contract(
        features=(Column(name="x", kind=Kind.FLOAT),),
        inputs=(Tensor(name="x", datatype="FP32", shape=(-1, 1), columns=("x",)),),
        outputs=(Tensor(name="y", datatype="FP32", shape=(-1, 1), columns=("y",)),),
        output_columns=(Column(name="y", kind=Kind.FLOAT),),
    )
    return model, contract


def test_a_graph_that_fails_is_a_failure_of_ours_with_its_values_on_record(tmp_path: Path) -> None:
    furnish(tmp_path)
    install(tmp_path, "refusing", "1", *refusing())
    route(tmp_path, "refusing", stable="1")

    async def test(service: Service) -> None:
        assert (await service.predict({"x": 0}, model="refusing")).status == 200
        reply = await service.predict({"x": 7}, model="refusing")
        assert (reply.status, reply.json["code"]) == (500, "runtime_failed")
        record = service.requests()[-1]
        assert (record.outcome, record.outputs) == (Outcome.FAILED, None)
        assert record.features is not None
        adds_up(service)

    run(tmp_path, test)


def choosy() -> tuple[bytes, Contract]:
    """Leaves out the rows of 5 and more, which no trial without training data meets."""
    nodes = [
        helper.make_node("Less", ["x", "five"], ["matrix"]),
        helper.make_node("Reshape", ["matrix", "flat"], ["taken"]),
        helper.make_node("Compress", ["x", "taken"], ["y"], axis=0),
    ]
    constants = [
        helper.make_tensor("five", TensorProto.FLOAT, [1], [5.0]),
        helper.make_tensor("flat", TensorProto.INT64, [1], [-1]),
    ]
    model = proto(nodes, {"x": ("FP32", ["N", 1])}, {"y": ("FP32", ["M", 1])}, constants).SerializeToString()
    contract = Contract(
        features=(Column(name="x", kind=Kind.FLOAT),),
        inputs=(Tensor(name="x", datatype="FP32", shape=(-1, 1), columns=("x",)),),
        outputs=(Tensor(name="y", datatype="FP32", shape=(-1, 1), columns=("y",)),),
        output_columns=(Column(name="y", kind=Kind.FLOAT),),
    )
    return model, contract


def test_a_graph_that_does_not_answer_row_by_row_is_a_failure_that_is_answered_and_recorded(tmp_path: Path) -> None:
    furnish(tmp_path)
    install(tmp_path, "choosy", "1", *choosy())
    route(tmp_path, "choosy", stable="1")

    async def test(service: Service) -> None:
        assert (await service.predict({"x": 3}, model="choosy")).json == {"predictions": [[3.0]]}
        reply = await service.predict({"x": 3}, {"x": 7}, model="choosy")
        assert (reply.status, reply.json["code"]) == (500, "runtime_failed")
        assert "1 rows for 2" in reply.json["error"]
        assert [record.outcome for record in service.requests()] == [Outcome.ANSWERED, Outcome.FAILED]

    run(tmp_path, test)


def test_a_request_that_is_given_up_by_its_server_is_recorded_and_harms_no_other(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        await service.predict(ROW)
        tasks = [asyncio.create_task(service.predict(ROW)) for _ in range(3)]
        await asyncio.sleep(0)  # all three run in the thread now
        tasks[1].cancel()
        replies = await asyncio.gather(*tasks, return_exceptions=True)
        assert [getattr(reply, "status", None) for reply in replies] == [200, None, 200]
        await until(lambda: len(service.requests()) == 4, "a record of each")
        assert Counter(record.outcome for record in service.requests()) == {"answered": 3, "shed": 1}
        adds_up(service)

    run(tmp_path, test, inline_below_us=0)


def test_a_request_that_is_cut_off_when_the_service_ends_is_recorded_and_told_so(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        await service.predict(ROW)
        tasks = [asyncio.create_task(service.predict(ROW)) for _ in range(3)]
        await asyncio.sleep(0)  # all three run in the thread now
        service.worker.predictor.cut_off()
        for task in tasks:
            task.cancel()
        replies = await asyncio.gather(*tasks)
        assert [(reply.status, reply.json["code"]) for reply in replies] == [(503, "cut_off")] * 3
        assert [record.code for record in service.requests()] == ["", *["cut_off"] * 3]
        adds_up(service)

    run(tmp_path, test, inline_below_us=0)


@pytest.mark.parametrize("on_log_failure", ["serve", "refuse"])
@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("cutting", [True, False])
def test_a_request_that_is_cancelled_while_its_record_is_written_is_counted_as_recorded(
    tmp_path: Path, cutting: bool, writable: bool, on_log_failure: str
) -> None:
    async def test(service: Service) -> None:
        log, statuses = service.worker.log, []
        if cutting:
            service.worker.predictor.cut_off()
        with nullcontext() if writable else file_size_limit(1):
            for row in (ROW, ROW, "bad"):
                received = log.received
                task = asyncio.create_task(service.predict(row))
                while log.received == received:  # noqa: ASYNC110 - turn by turn: the next after this one writes it
                    await asyncio.sleep(0)
                written = log.logged.total() + sum(lost.total() for lost in log.dropped.values())
                assert (log.received, written) == (received + 1, received)  # it is handed over, and not written
                task.cancel()
                (reply,) = await asyncio.gather(task, return_exceptions=True)
                statuses.append(getattr(reply, "status", None))
        refused = not writable and on_log_failure == "refuse"
        told = [503, 503, 400] if refused else [200, 200, 400]
        assert statuses == (told if cutting else [None] * 3)
        adds_up(service)
        assert counted(service) == +log.outcomes == {"failed" if refused else "answered": 2, "rejected": 1}

    run(tmp_path, test, on_log_failure=on_log_failure, inline_below_us=1e9)


# --- a log that cannot be written ---------------------------------------------------------------------------------


def test_by_default_an_answer_that_cannot_be_logged_is_given_and_its_loss_counted(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        with file_size_limit(1):
            assert (await service.predict(ROW)).status == 200
            ready = (await service.ask("GET", "/readyz")).json
            assert ready["ready"] and not ready["log"]["writable"]
            assert "cannot be written" in ready["problems"][0]
        adds_up(service)
        assert service.worker.log.dropped["answered"].total() == 1
        assert (await service.predict(ROW)).status == 200
        assert (await service.ask("GET", "/readyz")).json["log"]["writable"]

    run(tmp_path, test)
    found = audit(tmp_path / "log")
    assert found.whole
    assert (found.answered, found.logged, found.log_dropped) == (2, 1, {"os_error": 1})


def test_where_it_is_so_configured_nothing_is_answered_that_cannot_be_logged(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        with file_size_limit(1):
            replies = await asyncio.gather(*(service.predict(ROW) for _ in range(3)), service.predict("bad"))
        assert [reply.status for reply in replies] == [503, 503, 503, 400]
        assert replies[0].json["code"] == "log_unavailable"
        assert replies[0].headers["retry-after"] == "5"
        assert service.worker.log.outcomes == {"answered": 0, "failed": 3, "rejected": 1}
        adds_up(service)
        assert (await service.predict(ROW)).status == 200

    run(tmp_path, test, on_log_failure="refuse")
    found = audit(tmp_path / "log")
    assert found.whole
    assert found.outcomes == {"answered": 1, "rejected": 1, "shed": 0, "failed": 3}


def test_a_thousand_mixed_requests_add_up_to_the_request(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        kinds = [(ROW,), ("bad",), (changed(ratio=None),), (), (ROW, ROW)]
        replies = await asyncio.gather(*(service.predict(*kinds[number % 5]) for number in range(1000)))
        counts = Counter("answered" if reply.status == 200 else "rejected" for reply in replies)
        assert service.worker.log.outcomes == counts == {"answered": 400, "rejected": 600}
        adds_up(service)

    run(tmp_path, test)
    found = audit(tmp_path / "log")
    assert found.whole
    assert (found.received, found.answered, found.logged) == (1000, 400, 400)


# --- event time ---------------------------------------------------------------------------------------------------


def test_a_replay_stamps_its_records_with_its_own_time(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        for time in (b"1000", b"3000", b"2000"):
            assert (await service.predict(ROW, headers=[(b"x-event-time", time)])).status == 200
        for bad in (b"", b"-1", b"1.5", b"9" * 19, b"soon"):
            reply = await service.predict(ROW, headers=[(b"x-event-time", bad)])
            assert (reply.status, reply.json["code"]) == (400, "malformed_body")
        assert [record.at_us for record in service.requests()] == [1000, 3000, 2000, *[3000] * 5]

    run(tmp_path, test, event_time_header="X-Event-Time")
