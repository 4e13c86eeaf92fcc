"""What a canary run has put it takes back, whatever became of its steps; and nothing else."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from loadtests.load.rollout import Conductor
from tests.scripted import Asked, scripted

INDEX = [
    ("payments", "1", "READY"),
    ("payments", "2", "READY"),
    ("tumours", "1", "READY"),
    ("payments", "3", "UNAVAILABLE"),
]


class Admin:
    """The routes of payments. `answers`: how the next changes end: told; untold, but made; late, made when the routes are asked
    for the third time after it; or refused with this status.
    """

    def __init__(self, *answers: str | int) -> None:
        self.canary: dict[str, object] | None = None
        self.generation = 1
        self.made: list[str] = []
        self._answers = list(answers)
        self._later: list[Callable[[], None]] = []

    def say(self, asked: Asked) -> None:
        body = json.loads(asked.rfile.read(int(asked.headers.get("content-length", 0))) or b"{}")
        if asked.path == "/v2/repository/index":
            return self.tell(asked, [dict(zip(("name", "version", "state"), one, strict=True)) for one in INDEX])
        if asked.command == "GET":
            if self._later:
                self._later.pop(0)()
            models = {"payments": {"stable": "1"} | ({"canary": self.canary} if self.canary else {})}
            return self.tell(asked, {"generation": self.generation, "models": models})
        how = self._answers.pop(0) if self._answers else "told"
        if body["generation"] != self.generation:
            how = 409
        if isinstance(how, int):
            return asked.reply(how, b'{"code": "routes_conflict"}' if how == 409 else b"<html>")
        if how == "late":
            self._later = [lambda: None, lambda: None, lambda: self.change(body)]
            asked.close_connection = True
            return None
        self.change(body)
        if how == "untold":
            asked.close_connection = True
            return None
        return self.tell(asked, {"generation": self.generation})

    def change(self, body: dict[str, object]) -> None:
        self.generation += 1
        self.made.append(f"{body['do']} {body.get('percent', '')}".strip())
        self.canary = None if body["do"] == "abort" else {"version": body["version"], "percent": body["percent"]}

    @staticmethod
    def tell(asked: Asked, document: object) -> None:
        asked.reply(200, json.dumps(document).encode())


@contextmanager
def conducting(admin: Admin) -> Iterator[tuple[Conductor, list[str]]]:
    said: list[str] = []
    with scripted(admin.say) as server:
        conductor = Conductor(f"http://{server.host}", "token", said.append)
        conductor.begin()
        yield conductor, said


def test_the_canary_is_the_newest_version_that_is_ready() -> None:
    with conducting(Admin()) as (conductor, said):
        conductor.want(5.0)
        conductor.end()
    assert said == ["canary 2: 5 %", "canary 2: ended"]


@pytest.mark.parametrize("status", [400, 409, 500, 502])
def test_a_step_that_is_refused_in_the_middle_leaves_no_canary_behind(status: int) -> None:
    admin = Admin("told", status)
    with conducting(admin) as (conductor, said):
        for percent in (5.0, 25.0, 50.0):
            conductor.want(percent)
        assert admin.canary == {"version": "2", "percent": 5.0}, "nothing more is raised"
        conductor.end()
    assert admin.canary is None and admin.made == ["canary 5.0", "abort"]
    assert len(said) == 3 and said[1].startswith(f"admin API: {status}") and said[2] == "canary 2: ended"


@pytest.mark.parametrize("how", ["untold", "late"])
@pytest.mark.parametrize("before", [0, 1])
def test_a_step_without_an_answer_is_taken_back_when_it_was_made(how: str, before: int) -> None:
    admin = Admin(*["told"] * before, how)
    with conducting(admin) as (conductor, said):
        for percent in (5.0, 25.0)[: before + 1]:
            conductor.want(percent)
        conductor.want(0.0)
        assert admin.canary is None and admin.made[-1] == "abort", "also by the plan's own end"
        conductor.end()
    assert said[-1] == "canary 2: ended"


def test_a_change_between_look_and_abort_is_looked_at_again() -> None:
    admin = Admin("told", 409)
    with conducting(admin) as (conductor, said):
        conductor.want(5.0)
        conductor.end()
    assert admin.canary is None and said == ["canary 2: 5 %", "canary 2: ended"]


def test_what_cannot_be_taken_back_is_told() -> None:
    admin = Admin("told", 503)
    with conducting(admin) as (conductor, said):
        conductor.want(5.0)
        conductor.end()
    assert said[-1] == "admin API: 503: canary 2 may still have its share"


def test_somebody_else_s_canary_is_left_alone_also_where_it_has_the_share_that_was_refused() -> None:
    admin = Admin()
    with conducting(admin) as (conductor, said):
        admin.change({"do": "canary", "version": "2", "percent": 5.0})
        conductor.want(5.0)
        conductor.end()
    assert admin.canary is not None and said == ["admin API: 409 routes_conflict"]
