"""What a person orders from the page: looked at first, refused in words, and by the token that they gave."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from monitoring.console.order import Asked, entry_after, missing, moves
from monitoring.console.orders import OFF, OrdersApi
from monitoring.rollout.control import Entry, Moved, Share
from monitoring.rollout.people import words
from monitoring.settings import Settings
from monitoring.wrong_tokens import TRIES, WrongTokens
from tests.processes import free_port
from tests.unit.monitoring.rollout.service import WHOLE, Answer, Service, said, serving

SHARES = [
    {"model": "m", "arm": "stable", "version": "1", "before": 95, "after": 100},
    {"model": "m", "arm": "canary", "version": "2", "before": 5, "after": 0},
]
PLANNED = {**WHOLE, "/admin/routes/m": said({"generation": 8, "made": False, "shares": SHARES, "behind": {}})}
MADE = {**WHOLE, "/admin/routes/m": said({"generation": 8, "made": True, "shares": SHARES})}
PERSON = {"by": "ada", "why": "release 42"}


def ordered(
    home: Path, url: str, body: object, *, token: str | bytes = "secret", path: str = "m", times: int = 1
) -> httpx.Response:
    """The last answer of so many."""
    page = Starlette(routes=OrdersApi(Settings(home=home, service_url=url), WrongTokens()).routes())

    async def ask() -> httpx.Response:
        given = token if isinstance(token, bytes) else token.encode()
        headers = {b"authorization": b"Bearer " + given} if given else {}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(page), base_url="http://monitor") as client:
            for number in range(times):
                if given and times > 1:  # another one each time
                    headers[b"authorization"] = b"Bearer %s%d" % (given, number)
                answer = await client.post(f"/api/orders/{path}", content=json.dumps(body), headers=headers)
            return answer

    return asyncio.run(ask())


def last_order(service: Service) -> tuple[str, dict[str, Any]]:
    asked = next(one for one in reversed(service.asked) if one[0] == "POST")
    return asked[2], json.loads(asked[3])


def test_a_dry_run_says_what_moves_from_which_generation_and_passes_on_the_persons_token(tmp_path: Path) -> None:
    with serving(PLANNED) as service:
        told = ordered(tmp_path, service.url, {"do": "abort", **PERSON, "dry_run": True}).json()
    token, order = last_order(service)
    assert token == "Bearer secret"
    assert order["dry_run"] is True
    assert (order["do"], order["generation"], order["by"], order["why"]) == ("abort", 7, "ada", "release 42")
    assert (told["made"], told["generation"], told["canary"], told["percent"]) == (False, 7, "2", 5.0)
    assert told["sentence"] == "version 1 will answer 100 % (95 % before); version 2 will answer 0 % (5 % before)"
    assert told["changes"][-1]["by"] == "ada"


def test_what_was_looked_at_is_what_is_changed(tmp_path: Path) -> None:
    with serving(MADE) as service:
        told = ordered(tmp_path, service.url, {"do": "promote", **PERSON, "generation": 7}).json()
        assert told["made"]
        moved = ordered(tmp_path, service.url, {"do": "promote", **PERSON, "generation": 6})
    assert (moved.status_code, moved.json()["code"]) == (409, "routes_conflict")
    assert "meanwhile" in moved.json()["error"]


def test_a_pause_is_kept_with_who_and_why_and_a_dry_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "rollouts").mkdir()
    (tmp_path / "rollouts" / "m.toml").write_text('version = "2"\n')
    with serving(WHOLE) as service:
        dry = ordered(tmp_path, service.url, {"do": "pause", **PERSON, "dry_run": True}).json()
        assert (dry["made"], dry["paused"], words(tmp_path, "m")) == (False, False, [])
        told = ordered(tmp_path, service.url, {"do": "pause", **PERSON}).json()
        assert (told["made"], told["paused"]) == (True, True)
        ended = ordered(tmp_path, service.url, {"do": "resume", **PERSON}).json()
    assert (ended["paused"], [one["do"] for one in ended["words"]]) == (False, ["pause", "resume"])
    assert [(one.do, one.by, one.why, one.generation) for one in words(tmp_path, "m")] == [
        ("pause", "ada", "release 42", -1),
        ("resume", "ada", "release 42", 7),
    ]


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"do": "drop", **PERSON}, 400, "bad_order"),
    ({"do": "abort", "why": "x"}, 400, "bad_order"),
    ({"do": "abort", "by": "ada", "why": " "}, 400, "bad_order"),
    ({"do": "pause", **PERSON}, 409, "rollout_invalid"),
    ({"do": "look", "more": 1}, 400, "bad_order"),
]


@pytest.mark.parametrize(("body", "status", "code"), REFUSED)
def test_an_order_that_cannot_be_carried_out_is_refused(
    tmp_path: Path, body: dict[str, Any], status: int, code: str
) -> None:
    with serving(WHOLE) as service:
        answer = ordered(tmp_path, service.url, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_name_that_is_none_of_a_model_reaches_no_other_path_of_the_service(tmp_path: Path) -> None:
    with serving(WHOLE) as service:
        for path in ("..", "%2e%2e", "m%3Fx", "M", "m%2F..%2Fx"):
            assert ordered(tmp_path, service.url, {"do": "look"}, path=path).status_code == 404
    assert service.asked == []


def test_a_wrong_token_is_refused_as_the_service_says_and_then_not_even_asked_about(tmp_path: Path) -> None:
    wrong: Answer = said({"error": "token: found another, expected the admin token", "code": "not_authorised"}, 401)
    with serving({**WHOLE, "/admin/routes": wrong}) as service:
        assert ordered(tmp_path, service.url, {"do": "look"}).status_code == 401
        service.asked.clear()
        answer = ordered(tmp_path, service.url, {"do": "look"}, times=TRIES + 2)
        assert len(service.asked) == TRIES
        assert ordered(tmp_path, service.url, {"do": "look"}, token="").status_code == 401
        assert len(service.asked) == TRIES
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_tries")


def test_a_service_that_does_not_answer_is_said_to(tmp_path: Path) -> None:
    answer = ordered(tmp_path, f"http://127.0.0.1:{free_port()}", {"do": "look"})
    assert (answer.status_code, answer.json()["code"]) == (502, "service_unreachable")


def test_without_a_service_nothing_is_ordered_and_the_page_is_told_why(tmp_path: Path) -> None:
    answer = ordered(tmp_path, "", {"do": "look"})
    assert (answer.status_code, answer.json()) == (409, {"error": OFF, "code": "orders_off"})


def test_a_shadow_moves_nobody() -> None:
    assert moves([Moved("m", "shadow", "3", 0.0, 100.0)], made=True) == "nobody's share moves"
    assert missing(Asked("look")) is None


class FailingAfterwards(dict[str, Answer]):
    """The answers of a service that is gone as soon as it has made a change."""

    def __getitem__(self, path: str) -> Answer:
        answer = super().__getitem__(path)
        if path == "/admin/routes/m":
            self["/admin/routes"] = said({"error": "routes: cannot be read", "code": "routes_unavailable"}, 503)
        return answer


def test_what_was_made_is_told_as_made_whatever_fails_afterwards(tmp_path: Path) -> None:
    with serving(FailingAfterwards(MADE)) as service:
        answer = ordered(tmp_path, service.url, {"do": "abort", **PERSON, "generation": 7})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["made"], told["generation"], told["stable"], told["canary"]) == (True, 8, "1", None)
    assert "version 1 answers 100 %" in told["sentence"]
    assert "did not tell afterwards" in told["sentence"]
    assert [one["by"] for one in told["changes"]] == ["ada"]  # as far as it was known before


def test_words_that_cannot_be_read_are_found_out_before_anything_is_ordered(tmp_path: Path) -> None:
    (tmp_path / "rollouts").mkdir()
    (tmp_path / "rollouts" / "m.people.jsonl").write_text("damaged\n")
    with serving(MADE) as service:
        answer = ordered(tmp_path, service.url, {"do": "rollback", **PERSON})
        assert not [one for one in service.asked if one[0] == "POST"]
    assert (answer.status_code, answer.json()["code"]) == (409, "rollout_invalid")


@pytest.mark.parametrize(
    "lost",
    [(200, b"cut"), (200, b'{"generation": "\xff"}'), said({"error": "on the way", "code": "internal"}, 500), None],
)
def test_an_order_whose_answer_is_lost_is_not_told_as_not_done(tmp_path: Path, lost: Answer | None) -> None:
    answers = dict(WHOLE)
    if lost is None:
        del answers["/admin/routes/m"]  # the connection ends without an answer
    else:
        answers["/admin/routes/m"] = lost
    with serving(answers) as service:
        answer = ordered(tmp_path, service.url, {"do": "rollback", **PERSON})
        dry = ordered(tmp_path, service.url, {"do": "rollback", **PERSON, "dry_run": True})
    assert (answer.status_code, answer.json()["code"]) == (502, "outcome_unknown")
    assert "it is asked again" not in answer.json()["error"]
    assert dry.json()["code"] != "outcome_unknown"


@pytest.mark.parametrize("code", ["routes_unavailable", "versions_not_loaded"])
def test_a_refusal_by_which_the_service_says_that_nothing_was_done_stays_one(tmp_path: Path, code: str) -> None:
    with serving({**WHOLE, "/admin/routes/m": said({"error": "not now", "code": code}, 503)}) as service:
        answer = ordered(tmp_path, service.url, {"do": "rollback", **PERSON})
    assert (answer.status_code, answer.json()["code"]) == (503, code)


def test_a_file_that_is_no_text_is_no_wrong_token(tmp_path: Path) -> None:
    (tmp_path / "rollouts").mkdir()
    (tmp_path / "rollouts" / "m.people.jsonl").write_bytes(b'{"at": "\xff", "do": "pause"}\n')
    with serving(WHOLE) as service:
        answer = ordered(tmp_path, service.url, {"do": "look"}, times=TRIES + 1)
    assert (answer.status_code, answer.json()["code"]) == (409, "rollout_invalid")


def test_a_token_that_is_no_ascii_is_a_wrong_one(tmp_path: Path) -> None:
    answer = ordered(tmp_path, "http://127.0.0.1:9", {"do": "look"}, token="schl\xfcssel".encode("latin-1"))
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authorised")


def test_an_order_behind_one_that_takes_long_is_refused_and_not_begun(tmp_path: Path) -> None:
    async def both(silent: socket.socket) -> tuple[httpx.Response, httpx.Response]:
        page = Starlette(routes=OrdersApi(Settings(home=tmp_path, service_url=url), WrongTokens()).routes())
        here = httpx.ASGITransport(page)
        async with httpx.AsyncClient(transport=here, base_url="http://monitor", headers=headers) as client:
            first = asyncio.create_task(client.post("/api/orders/m", content='{"do": "look"}'))
            asked, _ = await asyncio.to_thread(silent.accept)
            second = await client.post("/api/orders/m", content='{"do": "look"}')
            asked.close()
            return second, await first

    headers = {"authorization": "Bearer secret"}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        second, first = asyncio.run(both(silent))
    assert (second.status_code, second.json()["code"]) == (409, "busy")
    assert first.json()["code"] == "service_unreachable"


def test_nothing_is_done_for_a_caller_who_has_gone(tmp_path: Path) -> None:
    body = json.dumps({"do": "rollback", **PERSON}).encode()
    heard = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(heard, {"type": "http.disconnect"})

    async def send(_: Any) -> None:
        return

    scope = {"type": "http", "method": "POST", "path": "/api/orders/m", "query_string": b"", "client": ("10.0.0.7", 1)}
    with serving(MADE) as service:
        page = Starlette(routes=OrdersApi(Settings(home=tmp_path, service_url=service.url), WrongTokens()).routes())
        asyncio.run(page({**scope, "headers": [(b"authorization", b"Bearer secret")]}, receive, send))
    assert [one[0] for one in service.asked] == ["GET", "GET"]


def test_routes_after_a_plan_are_what_its_shares_say() -> None:
    before = Entry("1", Share("2", 5.0))
    promoted = [Moved("m", "stable", "1", 95, 0), Moved("m", "stable", "2", 0, 100), Moved("m", "canary", "2", 5, 0)]
    assert entry_after(before, promoted, "m") == Entry("2")
    raised = [
        Moved("m", "stable", "1", 95, 60),
        Moved("m", "canary", "2", 5, 40),
        Moved("other", "stable", "9", 0, 100),
    ]
    assert entry_after(before, raised, "m") == Entry("1", Share("2", 40))
    assert entry_after(before, [], "m") == before
