"""The client of the admin API against answers that a service, or something else at its address, may give."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from monitoring.errors import AdminRefused, AdminUnreachable
from monitoring.rollout.admin import SENTENCE_CHARS_MAX, AdminApi
from monitoring.rollout.control import Entry, Share
from tests.processes import free_port
from tests.unit.monitoring.rollout.service import ROUTES, WHOLE, Answer, said, serving


def test_routes_are_read_with_their_history_which_is_asked_for_once_a_generation() -> None:
    with serving(dict(WHOLE)) as service, AdminApi(service.url, "secret") as admin:
        first, again = admin.routes("m"), admin.routes("m")
        assert first == again
        assert (first.generation, first.entry) == (7, Entry("1", Share("2", 5.0)))
        assert (first.changes[0].by, first.changes[0].before, first.changes[0].after) == ("ada", None, Entry("1"))
        assert [path for _, path, _, _ in service.asked].count("/admin/routes/m/history") == 1
        service.answers["/admin/routes"] = said({**ROUTES, "generation": 9})
        admin.routes("m")
        assert [path for _, path, _, _ in service.asked].count("/admin/routes/m/history") == 2
        assert {token for _, _, token, _ in service.asked} == {"Bearer secret"}


def test_a_change_waits_shortly_unless_it_says_otherwise() -> None:
    with serving(dict(WHOLE)) as service, AdminApi(service.url, "secret") as admin:
        assert admin.change("m", {"do": "abort", "generation": 7}) == 8
        admin.change("m", {"do": "abort", "generation": 7, "wait_s": 30})
        assert [json.loads(body)["wait_s"] for _, _, _, body in service.asked] == [2.0, 30]


@pytest.mark.parametrize(
    "answer",
    [(200, b"<html>"), (200, b""), (200, b"{}"), (200, b"[1]"), (200, b"\xff"), (502, b"bad gateway"), (302, b"")],
    ids=str,
)
def test_what_is_no_answer_of_the_admin_api_is_as_good_as_none(answer: Answer) -> None:
    with serving({**WHOLE, "/admin/routes": answer}) as service, AdminApi(service.url, "secret") as admin:
        with pytest.raises(AdminUnreachable, match="it is asked again"):
            admin.routes("m")
        assert [path for _, path, _, _ in service.asked] == ["/admin/routes"]


@pytest.mark.parametrize(
    ("status", "code", "word"),
    [
        (409, "routes_conflict", "routes_conflict"),
        (503, "versions_not_loaded", "versions_not_loaded"),
        (500, "x", "other"),
    ],
)
def test_a_refusal_has_the_services_own_sentence_cut_to_a_length(status: int, code: str, word: str) -> None:
    body = said({"error": "e" * 2000, "code": code, "request_id": "r", "details": []}, status)
    with serving({**WHOLE, "/admin/routes/m": body}) as service, AdminApi(service.url, "secret") as admin:
        with pytest.raises(AdminRefused) as refused:
            admin.change("m", {"do": "abort"})
        assert (refused.value.status, refused.value.code, refused.value.word) == (status, code, word)
        assert len(refused.value.sentence) == SENTENCE_CHARS_MAX


def test_nobody_there_is_an_error_that_is_tried_again() -> None:
    with AdminApi(f"http://127.0.0.1:{free_port()}", "secret") as admin, pytest.raises(AdminUnreachable) as error:
        admin.routes("m")
    assert error.value.word == "unreachable"


def test_a_service_that_takes_the_question_and_says_nothing_is_not_waited_for_long() -> None:
    release = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            release.wait(10)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with AdminApi(f"http://127.0.0.1:{server.server_port}", "s", 0.1) as admin, pytest.raises(AdminUnreachable):
            admin.routes("m")
    finally:
        release.set()
        server.shutdown()
        server.server_close()
