"""The controller on a real log: what it makes of it is done once, whoever dies, is slow or was first."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from monitoring.errors import AdminRefused, AdminUnreachable, SettingsInvalid
from monitoring.rollout.control import Entry, Reason, Word
from monitoring.rollout.controller import Controller
from monitoring.rollout.document import Rollout
from monitoring.rollout.outcome import Rollback
from monitoring.rollout.people import say, words
from monitoring.rollout.reading import Follower
from monitoring.settings import load
from monitoring.status import RolloutStatus
from monitoring.wiring import _controller
from tests.unit.monitoring.rollout.routes_of import RoutesInMemory, canary
from tests.unit.monitoring.rollout.test_command import PLAN, home_of
from tests.unit.service.featurelog.archiving import RAW_GOES, archive

UNREACHABLE = AdminUnreachable("http://127.0.0.1:3000", "ConnectError: refused")
NOT_LOADED = AdminRefused(503, "versions_not_loaded", "worker 7 has not loaded payments:2")
CONFLICT = AdminRefused(409, "routes_conflict", "generation: found 9, expected 8")
STRANGE = AdminRefused(418, "teapot", "short and stout")


def controller(home: Path, admin: RoutesInMemory | None) -> Controller:
    settings = load(home)

    def follow(model: str, rollout: Rollout) -> Follower:
        return Follower(settings, model, rollout)

    return Controller(home=home, follow=follow, admin=admin)


def look(one: Controller) -> RolloutStatus:
    one.look()
    (told,) = one.status()
    return told


def test_a_step_that_is_over_raises_the_share_once_also_for_who_comes_after(tmp_path: Path) -> None:
    home, service = home_of(tmp_path), RoutesInMemory(canary(20))
    first = controller(home, service)
    told = look(first)
    assert (told.stands, told.step, told.percent, told.changes) == (Reason.CHANGED, 1, 50.0, {"canary": 1})
    assert service.entry == canary(50)
    assert service.why[0].startswith("advance to 50 %, step 2 of 3; nearest to a rollback: ")
    for again in (first, controller(home, service)):
        assert look(again).stands is Reason.NOTHING
    assert service.generation == 2


def test_a_bad_canary_is_taken_out_once_with_the_evidence_and_does_not_come_back(tmp_path: Path) -> None:
    home, service = home_of(tmp_path, failing=True), RoutesInMemory(canary(20))
    told = look(controller(home, service))
    assert isinstance(told.outcome, Rollback)
    assert service.entry == Entry("1")
    assert service.why[0].startswith("roll back: errors (errors): canary")
    assert look(controller(home, service)).stands is Reason.OVER
    service.by_hand(canary(20))
    assert look(controller(home, service)).stands is Reason.BY_HAND
    assert service.entry == canary(20)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (UNREACHABLE, "unreachable"),
        (NOT_LOADED, "versions_not_loaded"),
        (CONFLICT, "routes_conflict"),
        (STRANGE, "other"),
    ],
    ids=str,
)
def test_what_cannot_be_changed_is_counted_told_and_done_at_the_next_look(
    tmp_path: Path, error: AdminUnreachable | AdminRefused, word: str
) -> None:
    service = RoutesInMemory(canary(20), failing=[error])
    one = controller(home_of(tmp_path, failing=True), service)
    told = look(one)
    assert (told.stands, told.problem, told.problems) == (None, str(error), {word: 1})
    assert service.entry == canary(20)
    assert look(one).stands is Reason.CHANGED
    assert service.entry == Entry("1")


def test_a_change_whose_answer_was_lost_is_not_made_again(tmp_path: Path) -> None:
    service = RoutesInMemory(canary(20), lost=[UNREACHABLE])
    one = controller(home_of(tmp_path), service)
    assert look(one).problems == {"unreachable": 1}
    assert (service.entry, service.generation) == (canary(50), 2)
    assert look(one).stands is Reason.NOTHING
    assert service.generation == 2


def test_a_person_pauses_resumes_and_changes_routes_and_is_not_fought(tmp_path: Path) -> None:
    home, service = home_of(tmp_path), RoutesInMemory(canary(20))
    one = controller(home, service)
    say(home, "payments", Word("2026-01-05T00:00:00Z", "pause", "ada", "lunch"))
    assert look(one).stands is Reason.PAUSED
    service.by_hand(canary(10))
    assert look(one).stands is Reason.BY_HAND
    say(home, "payments", Word("2026-01-05T00:01:00Z", "resume", "ada", generation=service.generation))
    assert look(one).stands is Reason.CHANGED
    assert service.entry == canary(50)
    assert [word.do for word in words(home, "payments")] == ["pause", "resume"]


def test_without_an_admin_api_it_only_says(tmp_path: Path) -> None:
    told = look(controller(home_of(tmp_path, failing=True), None))
    assert (told.stands, told.problem) == (Reason.SAYS_ONLY, "")
    assert told.sentence.startswith("roll back: errors")
    assert [guard.guard for guard in told.guards] == ["errors", "predictions"]


def test_whoever_lets_it_change_routes_must_say_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUMBLINE_ADMIN_TOKEN", raising=False)
    (tmp_path / "plumbline.toml").write_text("[monitor]\nrollout_apply = true\n")
    with pytest.raises(SettingsInvalid, match="rollout_apply: found no admin token"):
        _controller(load(tmp_path))
    (tmp_path / "token").write_text("secret\n")
    file = f'[monitor]\nrollout_apply = true\nadmin_token_file = "{tmp_path}/token"\n'
    (tmp_path / "plumbline.toml").write_text(file)
    assert _controller(load(tmp_path)).status() == ()


def test_who_is_ended_changes_nothing_more(tmp_path: Path) -> None:
    service = RoutesInMemory(canary(20))
    one = controller(tmp_path, service)  # there is no rollout yet

    async def ended() -> None:
        task = asyncio.create_task(one.run(60))
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(ended())
    home_of(tmp_path, failing=True)
    one.look()
    assert service.generation == 1


def test_one_document_that_is_wrong_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    home, service = home_of(tmp_path), RoutesInMemory(canary(20))
    (home / "rollouts" / "broken.toml").write_text("version = 2")
    one = controller(home, service)
    one.look()
    broken, payments = one.status()
    assert (broken.model, broken.version, broken.stands, broken.problems) == ("broken", "", None, {"document": 1})
    assert "broken.toml: found Expected `str`" in broken.problem
    assert payments.stands is Reason.CHANGED
    (home / "rollouts" / "broken.toml").unlink()
    assert look(one).model == "payments"


def test_a_changed_document_is_read_from_its_beginning(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    one = controller(home, None)
    assert look(one).step == 1
    (home / "rollouts" / "payments.toml").write_text(PLAN.replace("bake_s = 120", "bake_s = 36000"))
    assert look(one).step == 0


@pytest.mark.parametrize(
    "data", [b'{"at": "t", "do": "stop"}\n', b'{"at": "\xff"}\n', None], ids=["word", "text", "folder"]
)
def test_words_that_cannot_be_read_change_nothing(tmp_path: Path, data: bytes | None) -> None:
    home, service = home_of(tmp_path), RoutesInMemory(canary(20))
    place = home / "rollouts" / "payments.people.jsonl"
    place.mkdir() if data is None else place.write_bytes(data)
    told = look(controller(home, service))
    assert (told.stands, told.problems, service.generation) == (None, {"document": 1}, 1)
    assert "payments" in told.problem
    assert told.step == 1  # what the log says is known all the same


def test_a_log_that_is_not_all_there_changes_nothing_and_is_told(tmp_path: Path) -> None:
    home, service = home_of(tmp_path, "since = 2025-02-19T21:20:00Z\n" + PLAN), RoutesInMemory(canary(20))
    assert archive(home, keep=RAW_GOES, keep_from={"w0": (1, 1, 0)}).let_go_segments == 1
    told = look(controller(home, service))
    assert (told.stands, told.problems, service.generation) == (None, {"log": 1}, 1)
    assert "nothing was judged" in told.problem
