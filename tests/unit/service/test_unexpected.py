"""What the log of the process says of a failure: which request it was, and no value that is private."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from models.contract import Privacy
from tests.onnx_models import install
from tests.unit.service.serving import Service, furnish, route, run, until
from tests.unit.service.test_predict import refusing

pytestmark = pytest.mark.slow
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADERS = [(b"x-request-id", b"mine"), (b"traceparent", f"00-{TRACE}-00f067aa0ba902b7-00".encode())]


@pytest.mark.parametrize("private", [False, True])
def test_a_run_that_failed_is_told_with_its_request_and_its_reason_where_that_may_be_said(
    tmp_path: Path, private: bool
) -> None:
    furnish(tmp_path)
    model, contract = refusing()
    if private:
        hashed = tuple(msgspec.structs.replace(column, privacy=Privacy.HASH) for column in contract.features)
        contract = msgspec.structs.replace(contract, features=hashed)
    install(tmp_path, "refusing", "1", model, contract)
    route(tmp_path, "refusing", stable="1")

    async def test(service: Service) -> None:
        with capture_logs() as lines:
            assert (await service.predict({"x": 4711}, model="refusing", headers=HEADERS)).status == 500
        (line,) = lines
        assert (line["event"], line["code"], line["model"]) == ("predict.run_failed", "runtime_failed", "refusing")
        assert (line["request_id"], line["trace_id"]) == ("mine", TRACE)
        assert ("reason" in line, "4711" in str(line)) == (not private, not private)

    run(tmp_path, test)


def test_what_nobody_caught_is_one_line_without_its_text(tmp_path: Path) -> None:
    async def test(service: Service) -> None:
        def fails(row: str) -> None:
            raise ValueError(row)

        loop = asyncio.get_running_loop()
        with capture_logs() as lines:
            loop.call_soon(fails, "4711")
            await until(lambda: lines, "it was told")
            loop.call_exception_handler({"message": "socket.send() raised exception."})
        failed, said = lines
        assert (failed["event"], failed["error"]) == ("loop.failed", "ValueError")
        assert "raise ValueError" in failed["at"] and "4711" not in str(failed)
        assert (said["event"], said["message"]) == ("loop.failed", "socket.send() raised exception.")

    run(tmp_path, test)
