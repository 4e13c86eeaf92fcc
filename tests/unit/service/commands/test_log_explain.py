"""An incident of the demo model, from its event to what it did to the answers: by the real session, from a real log."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from models.baseline import Baseline
from models.demo.incidents import Incident, apply
from models.demo.simulator import Row, payments, rows
from models.lock_file import LockFile
from models.manifest import BASELINE
from monitoring.events import Event
from monitoring.fold import fold
from monitoring.outbox import Outbox
from monitoring.reference import Reference
from monitoring.rules import Rules
from monitoring.state import State
from service.commands.log import log
from service.featurelog.chunk import Chunk, Run
from service.featurelog.record import Ledger, Record
from service.featurelog.segments import segment_name
from service.featurelog.view import database
from service.seeding import seed
from service.settings import Settings
from tests.promises.payments import START_S, VERSION, Traffic
from tests.unit.monitoring.made import segment

pytestmark = pytest.mark.slow

BEFORE_MINUTES, MINUTES, ROWS_A_MINUTE = 20, 26, 60


@pytest.fixture(scope="module")
def happened(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Event]:
    """A home with amounts in thousandths from minute BEFORE_MINUTES on, and the event that its log makes."""
    return broken(tmp_path_factory.mktemp("home"), lambda row: True)


def broken(home: Path, hit: Callable[[Row], bool]) -> tuple[Path, Event]:
    """The same of the rows that are hit."""
    settings = Settings(home=home)
    assert seed(settings) == []
    pin = LockFile(settings.lock_path).read().find("payments", "1")
    assert pin is not None
    traffic, rng = Traffic(), np.random.default_rng(7)
    schema = msgspec.structs.replace(traffic.schema, digest=pin.digest)
    records: list[Record] = []
    for minute in range(MINUTES):
        at_s = START_S + 36_000 + minute * 60 + np.arange(ROWS_A_MINUTE) * 1.0
        batch = rows(payments(rng, at_s))
        if minute >= BEFORE_MINUTES:
            wrong = apply(Incident.UNIT_X1000, batch, rng=rng)
            batch = [bad if hit(row) else row for row, bad in zip(batch, wrong, strict=True)]
        records.append(traffic.request(int(at_s[0] * 1e6), batch))
    records.append(Ledger(int((START_S + 36_000 + MINUTES * 60 + 10) * 1e6), 0, {}, {}, {}))
    reference = Reference.of(schema, Baseline.decode((VERSION / BASELINE).read_bytes()))
    run = Run("w0", 1, list(enumerate(records)), {0: schema})
    (event,) = fold(
        State(), Chunk((run,), (), True), settled=True, rules=Rules(), references={schema.digest: reference}
    )
    Outbox(home / "monitor" / "outbox", pending_max=10, delivered_kept=10).put([event])
    directory = home / "log" / "w0"
    directory.mkdir(parents=True)
    (directory / segment_name(1, 0)).write_bytes(segment(schema, records, writer="w0", epoch=1, number=0))
    return home, event


def explained(home: Path, *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(log, ["explain", *words, "--home", str(home)])
    assert result.exit_code == code, result.output
    return result


def test_predictions_move_as_far_as_the_column_does_and_come_back_with_it(happened: tuple[Path, Event]) -> None:
    home, event = happened
    told: Any = msgspec.json.decode(explained(home, event.id, "--json").stdout)
    assert "1000 times too large" in told["story"]
    (amount,) = told["put_back"]
    assert (amount["column"], amount["how"]) == ("amount", "undone")
    risk = next(one for one in amount["outputs"] if one["output"] == "probabilities[1]")
    assert risk["came"] > risk["back"] + 0.01
    assert risk["changed"] > 0.9
    assert told["domain"]["low"] > 0.9
    assert told["domain"]["gives_away"][0]["column"] == "amount"
    assert told["rows"]["before"] >= 1000
    assert len(told["examples"]) == 5
    kept = home / "monitor" / "explained" / f"{event.id}.json"
    assert msgspec.json.decode(kept.read_bytes()) == told


def test_of_a_change_that_one_channel_has_only_its_rows_are_put_back(tmp_path: Path) -> None:
    home, event = broken(tmp_path, lambda row: row["channel"] == "online")
    told: Any = msgspec.json.decode(explained(home, event.id, "--json").stdout)
    assert "where `channel` is online, and in no others" in told["story"]
    (amount,) = told["put_back"]
    assert amount["how"] == "undone where channel is online"
    data = msgspec.json.decode(event.body)["data"]
    span = [data["story"]["since"]["at_s"], datetime.fromisoformat(data["window"]["to"]).timestamp()]
    with database(home, model="payments") as (connection, _):
        sql = (
            "SELECT avg((channel = 'online')::INT) FROM requests WHERE epoch(arrived_at) >= ? AND epoch(arrived_at) < ?"
        )
        (online,) = connection.execute(sql, span).fetchall()[0]
    risk = next(one for one in amount["outputs"] if one["output"] == "probabilities[1]")
    assert 0 < risk["changed"] <= online < 0.5


def test_people_read_the_same_as_a_table(happened: tuple[Path, Event]) -> None:
    home, event = happened
    text = explained(home, event.id).output
    assert "1000 times too large" in text
    assert "probabilities[1]" in text
    assert "AUC" in text


@pytest.mark.parametrize("name", ["evt_none", "../../../etc/passwd"])
def test_an_event_that_is_not_there_is_said_so(happened: tuple[Path, Event], name: str) -> None:
    assert "no such event" in explained(happened[0], name, code=2).output
