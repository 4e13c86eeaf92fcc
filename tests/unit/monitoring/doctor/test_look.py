"""The monitor's side of a home, each check made to fail by its real cause; nobody is ever posted to."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from models.finding import Finding, Level
from monitoring.checkpoint import Checkpoints
from monitoring.doctor.look import look
from monitoring.settings import Settings
from monitoring.state import State
from service.featurelog.reader import LogReader
from service.featurelog.record import Ledger
from tests.processes import free_port
from tests.promises.webhooks.receiver import certificate
from tests.promises.webhooks.receiver import receiving as receiving_tls
from tests.unit.monitoring.receiver import SECRET, receiving
from tests.unit.service.featurelog.writing import segment

pytestmark = pytest.mark.slow

OK, WARN, BAD = Level.OK, Level.WARN, Level.BAD
ALERTMANAGER = {"name": "pager", "kind": "alertmanager"}


def looked(home: Path, **given: Any) -> dict[str, Finding]:
    """Findings by check; a free port unless one is given."""
    found = look(Settings(**{"home": home, "port": free_port(), "PLUMBLINE_WEBHOOK_SECRET": SECRET, **given}))
    assert all(bool(one.advice) == (one.level is not OK) for one in found), found
    return {one.check: one for one in found}


def test_a_clean_home_is_ok(tmp_path: Path) -> None:
    found = looked(tmp_path)
    assert {one.level for one in found.values()} == {OK}
    assert list(tmp_path.iterdir()) == [], "looking changes nothing"


def test_a_variable_that_the_monitor_does_not_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_MONITOR_HOLD", "5")
    assert "PLUMBLINE_MONITOR_HOLD_S" in looked(tmp_path)["monitor environment"].advice


def test_a_port_that_another_process_has_is_bad(tmp_path: Path) -> None:
    with receiving() as other:  # answers, but not as a monitor does
        found = looked(tmp_path, port=int(other.url.rpartition(":")[2].partition("/")[0]))["monitor port"]
    assert found.level is BAD and "ss -ltnp" in found.advice


def test_secrets_that_everybody_can_read_are_bad(tmp_path: Path) -> None:
    secret, token = tmp_path / "secret", tmp_path / "token"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    secret_headers = {"api-key": secret}
    one = {**ALERTMANAGER, "url": "http://127.0.0.1:1", "token_file": token, "headers_file": secret_headers}
    found = looked(tmp_path, webhook_secret_file=secret, receivers=[one])
    assert found["webhook_secret_file"].advice == f"chmod o= {secret}"
    assert found["pager token_file"].level is BAD
    assert found["pager headers_file.api-key"].advice == f"chmod o= {secret}"
    secret.chmod(0o600)
    assert looked(tmp_path, webhook_secret_file=secret)["webhook_secret_file"].level is OK


# --- receivers ----------------------------------------------------------------------------------------------------


def test_receivers_that_answer_are_ok_and_hear_nothing(tmp_path: Path) -> None:
    with receiving() as receiver:
        found = looked(tmp_path, webhook_url=receiver.url, receivers=[{**ALERTMANAGER, "url": receiver.url}])
        assert found["receiver webhook"].level is found["receiver pager"].level is OK
        assert receiver.attempts == 0


def test_a_receiver_whose_port_is_closed_is_bad(tmp_path: Path) -> None:
    found = looked(tmp_path, webhook_url=f"http://127.0.0.1:{free_port()}/retrain")["receiver webhook"]
    assert found.level is BAD and "refused" in found.found and found.advice.startswith("curl ")


def test_a_receiver_whose_name_nobody_knows_is_bad(tmp_path: Path) -> None:
    assert looked(tmp_path, webhook_url="https://nobody.invalid/x")["receiver webhook"].level is BAD


def test_a_receiver_at_a_private_address_is_bad_unless_that_is_allowed(tmp_path: Path) -> None:
    with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", "127.0.0.2")
        refused = looked(tmp_path, webhook_url=url, webhook_allow_private_addresses=False)["receiver webhook"]
        assert refused.level is BAD and "allow_private_addresses" in refused.advice


def test_a_receiver_without_its_secret_is_bad(tmp_path: Path) -> None:
    found = look(Settings(home=tmp_path, port=free_port(), webhook_url="http://127.0.0.1:1/x"))
    assert "no secret" in next(one.found for one in found if one.check == "receiver webhook")


def test_a_receiver_whose_certificate_nobody_vouches_for_is_bad(tmp_path: Path) -> None:
    made, tls = certificate(tmp_path)
    with receiving_tls(tls=tls) as receiver:
        one = {**ALERTMANAGER, "url": receiver.url}
        found = looked(tmp_path, receivers=[one])["receiver pager"]
        assert found.level is BAD and "certificate" in found.found
        assert looked(tmp_path, receivers=[{**one, "ca_file": made}])["receiver pager"].level is OK


def test_a_receiver_that_speaks_no_tls_where_it_should_is_bad(tmp_path: Path) -> None:
    with receiving() as receiver:
        url = receiver.url.replace("http://", "https://")
        assert looked(tmp_path, webhook_url=url)["receiver webhook"].level is BAD


# --- checkpoint ---------------------------------------------------------------------------------------------------


def test_a_checkpoint_that_is_damaged_is_bad(tmp_path: Path) -> None:
    Checkpoints(tmp_path / "monitor").save({}, State())
    assert looked(tmp_path)["checkpoint"].level is OK
    path = tmp_path / "monitor" / "checkpoint"
    path.write_bytes(path.read_bytes()[:-1])
    assert looked(tmp_path)["checkpoint"].level is BAD
    assert path.exists(), "looking puts nothing aside"


def test_a_log_that_nobody_reads_is_told_until_it_is_read(tmp_path: Path) -> None:
    an_hour_ago_us = time.time_ns() // 1000 - 3600_000_000
    segment(tmp_path / "log", [(1, Ledger(an_hour_ago_us, 1, {}, {}, {}))])
    found = looked(tmp_path)["checkpoint"]
    assert found.level is WARN and "no monitor answers" in found.found
    reader = LogReader(tmp_path / "log")
    reader.read(10)
    Checkpoints(tmp_path / "monitor").save(reader.positions, State())
    os.utime(tmp_path / "monitor" / "checkpoint", (0, 0))
    assert looked(tmp_path)["checkpoint"].level is OK, "it is old, and nothing waits"


def test_an_address_of_another_machine_is_bad(tmp_path: Path) -> None:
    assert looked(tmp_path, host="192.0.2.1")["monitor port"].level is BAD
