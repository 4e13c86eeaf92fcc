"""Every row of the table of bad inputs, sent: the answer is the one in the table, the service stays up, the ledger adds up."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.key_file import FILE
from service.featurelog.ledger import audit
from service.featurelog.record import Outcome, Request
from service.http.edge import REQUEST_ID
from service.http.errors import STATUS
from service.http.paths import Verb, parse
from tests.bad_inputs import keys
from tests.bad_inputs.edge import WITHOUT_TOKEN
from tests.bad_inputs.limits import SETTINGS, TOKEN
from tests.bad_inputs.row import Bad
from tests.bad_inputs.table import TABLES
from tests.processes import answers, home, served, wait_until
from tests.unit.service.featurelog.writing import read

pytestmark = pytest.mark.integration

PREDICTS = (Verb.V1_PREDICT, Verb.V2_INFER, Verb.NATIVE_PREDICT)
SETTLED_DEADLINE_S = 10
ALL = [row for rows in TABLES.values() for row in rows]


def send(client: httpx.Client, number: int, row: Bad) -> list[str]:
    """What of the answer is otherwise than the table says."""
    headers = {"x-request-id": f"bad-{number}", **row.headers}
    answer = client.request(row.method, row.path, content=row.body.sent, headers=headers)
    told = f"{row.what} ({row.method} {row.path}): {answer.status_code} {answer.text[:500]}"
    if row.status == 200:
        given = answer.headers["x-request-id"]
        whole = answer.status_code == 200 and REQUEST_ID.fullmatch(given.encode())
        return [] if whole else [told]
    expected: dict[str, Any] = {
        "error": row.error,
        "code": row.code,
        "request_id": headers["x-request-id"],
        "details": [{"at": at, "problem": problem} for at, problem in row.details],
    }
    shape = (answer.headers["content-type"], answer.headers["x-request-id"])
    whole = shape == ("application/json", headers["x-request-id"]) and answer.status_code == row.status
    return [] if whole and answer.json() == expected else [f"{told}\n  expected {row.status} {expected}"]


def test_every_bad_input_gets_the_answer_of_the_table_and_one_record(tmp_path: Path) -> None:
    place = home(tmp_path)
    with served(place, PLUMBLINE_ADMIN_TOKEN=TOKEN, **SETTINGS) as (process, url):
        workers = process.descendants()
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            otherwise = [problem for number, row in enumerate(ALL) for problem in send(client, number, row)]
        assert not otherwise, "\n".join(otherwise)
        assert answers(f"{url}/readyz") and process.descendants() == workers
        asked = {n: row for n, row in enumerate(ALL) if row.method == "POST" and predicts(row)}
        wait_until(lambda: audit(place / "log").received >= len(asked), SETTLED_DEADLINE_S, "a record a request")
    found = audit(place / "log")
    assert found.whole and not any(found.dropped.values())
    assert found.received == len(asked) == sum(found.outcomes.values())
    assert found.answered == sum(row.status == 200 for row in asked.values())
    recorded(place, asked)


def predicts(row: Bad) -> bool:
    target = parse(row.path)
    return target is not None and target.verb in PREDICTS


def recorded(place: Path, asked: Mapping[int, Bad]) -> None:
    """The record of each refusal says what the answer said."""
    records = [record for record in read(place / "log")[0] if isinstance(record, Request)]
    by_id = {record.request_id: record for record in records if record.outcome is not Outcome.ANSWERED}
    for number, row in asked.items():
        if row.status != 200:
            record = by_id.pop(f"bad-{number}")
            assert (record.status, record.code) == (row.status, row.code), row.what
    assert not by_id


def test_without_a_token_there_is_no_admin_api(tmp_path: Path) -> None:
    with served(home(tmp_path)) as (_, url), httpx.Client(base_url=url, trust_env=False) as client:
        assert send(client, 0, WITHOUT_TOKEN) == []


def test_every_bad_key_gets_the_answer_of_the_table_and_one_record(tmp_path: Path) -> None:
    place = home(tmp_path)
    (place / FILE).write_text(keys.KEYS.encode())
    with served(place, **keys.SETTINGS) as (_, url):
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            otherwise = [problem for number, row in enumerate(keys.KEYED) for problem in send(client, number, row)]
        assert not otherwise, "\n".join(otherwise)
        asked = {n: row for n, row in enumerate(keys.KEYED) if predicts(row)}
        wait_until(lambda: audit(place / "log").received >= len(asked), SETTLED_DEADLINE_S, "a record a request")
    assert audit(place / "log").whole
    recorded(place, asked)


def test_every_code_that_a_client_alone_can_cause_is_in_the_table() -> None:
    rejected = {error.code for error in STATUS if error.outcome is Outcome.REJECTED}
    gone = {"client_gone"}  # nobody is there to read the answer
    # refused before they are requests, so without a record: the unit tests of the connection have them
    unborn = {"malformed_request", "request_timeout", "url_too_long", "head_too_large"}
    assert {row.code for row in [*ALL, WITHOUT_TOKEN, *keys.KEYED]} - {""} == rejected - gone - unborn
