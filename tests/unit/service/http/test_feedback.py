from pathlib import Path

import pytest

from service.featurelog.record import Feedback
from tests.unit.service.featurelog.test_writer import file_size_limit
from tests.unit.service.serving import Reply, Service, run

pytestmark = pytest.mark.slow


async def send(service: Service, body: object) -> Reply:
    return await service.ask("POST", "/v1/models/mixed:feedback", body)


def labels(service: Service) -> list[Feedback]:
    return [record for record in service.records() if isinstance(record, Feedback)]


@pytest.mark.parametrize("label", [1, 1.5, True, "fraud", None, -(2**63), 2**63 - 1, ""])
def test_a_label_of_every_type_is_on_record_as_it_was_given(tmp_path: Path, label: object) -> None:
    async def test(service: Service) -> None:
        body = {"request_id": "r", "row": 3, "label": label, "observed_at": 1_700_000_000.25}
        reply = await send(service, body)
        assert (reply.status, reply.json) == (202, {"accepted": 1})
        (found,) = labels(service)
        assert (found.request_id, found.row, found.observed_us) == ("r", 3, 1_700_000_000_250_000)
        assert (found.label, type(found.label)) == (label, type(label))

    run(tmp_path, test)


def test_many_labels_are_one_request_and_without_a_time_they_are_of_now(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        reply = await send(service, [{"request_id": f"r{number}", "label": number} for number in range(50)])
        assert reply.json == {"accepted": 50}
        found = labels(service)
        assert [record.label for record in found] == list(range(50))
        assert all(record.observed_us == record.at_us > 1_000_000_000_000_000 for record in found)
        assert (await send(service, [])).json == {"accepted": 0}

    run(tmp_path, test)


def test_more_labels_than_a_request_may_have_rows_are_refused_and_none_is_on_record(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        reply = await send(service, [{"request_id": "r", "label": number} for number in range(11)])
        assert (reply.status, reply.json["code"]) == (413, "too_many_rows")
        assert labels(service) == []

    run(tmp_path, test, max_rows=10)


BAD: list[object] = [
    b"",
    b"junk",
    b'"text"',
    b"\xff",
    b'{"request_id": "\xff", "label": 1}',
    b"[" * 100_000,
    {},
    {"request_id": "r"},
    {"label": 1},
    {"request_id": 7, "label": 1},
    {"request_id": "r", "label": 1, "other": 1},
    {"request_id": "r", "label": [1]},
    {"request_id": "r", "label": 2**63},
    {"request_id": "r", "label": 2**70},
    {"request_id": "r", "label": 1, "row": -1},
    {"request_id": "r", "label": 1, "row": 2**70},
    {"request_id": "r", "label": 1, "row": 1.5},
    {"request_id": "r", "label": 1, "observed_at": "now"},
    {"request_id": "r", "label": 1, "observed_at": -1},
    {"request_id": "r", "label": 1, "observed_at": 1e300},
    {"request_id": "x" * 129, "label": 1},
    [{"request_id": "r", "label": 1}, {"request_id": "r", "label": 2**70}],
]


def test_what_is_no_feedback_is_malformed_and_nothing_of_it_is_written(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        for body in BAD:
            reply = await send(service, body)
            assert (reply.status, reply.json["code"]) == (400, "malformed_body"), body
            assert ", expected " in reply.json["error"]
        assert service.records() == []

    run(tmp_path, test)


def test_feedback_to_a_model_that_is_not_served_is_refused(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        reply = await service.ask("POST", "/v1/models/nothing:feedback", {"request_id": "r", "label": 1})
        assert (reply.status, reply.json["code"]) == (404, "model_unknown")

    run(tmp_path, test)


def test_feedback_that_is_not_in_the_log_is_not_accepted(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        with file_size_limit(1):
            reply = await send(service, [{"request_id": "r", "label": 1}] * 3)
        assert (reply.status, reply.json["code"]) == (503, "log_unavailable")
        assert labels(service) == []

    run(tmp_path, test)
