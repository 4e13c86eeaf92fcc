"""However a trial ends, it has a verdict; the verdict is kept for exactly as long as it says something."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import psutil
import pytest

from models.confined import ANSWER_BYTES_MAX
from models.errors import ArtifactRefused, Reason
from models.manifest import CONTRACT, MODEL, Manifest
from models.precedence import NICE_MAX, STEPS_BACK, group_nice
from models.trials import run
from models.verdict import RETRY_AFTER_S, Limits, Refusal, Verdict
from tests.hostile import graphs as g
from tests.onnx_models import image, image_contract, mixed, mixed_contract
from tests.processes import ROOT, heard, wait_until
from tests.trying import LIMITS, trials

pytestmark = pytest.mark.slow

HONEST = {MODEL: mixed(), CONTRACT: mixed_contract().encode()}
NAN = {MODEL: g.not_a_number(), CONTRACT: g.column_contract()}
ENDLESS = {MODEL: g.loop(1 << 62, ends=True)(), CONTRACT: g.plain_contract()}


def limits(**changes: object) -> Limits:
    return msgspec.structs.replace(LIMITS, **changes)


def digest(files: dict[str, bytes]) -> str:
    return Manifest.of(files).digest


def refused(files: dict[str, bytes], within: Limits = LIMITS) -> Refusal:
    refusal = run("m:1", files, within)
    assert refusal is not None
    return refusal


@pytest.mark.parametrize("files", [HONEST, {MODEL: image(), CONTRACT: image_contract().encode()}, {MODEL: mixed()}])
def test_an_honest_version_passes(files: dict[str, bytes]) -> None:
    assert run("m:1", files, LIMITS) is None


def test_a_run_without_end_is_ended_by_the_clock_too() -> None:
    refusal = refused(ENDLESS, limits(cpu_s=60, wall_s=2.0))
    assert (refusal.reason, refusal.found) == (Reason.TIME, "no answer within 2 s")


def test_a_trial_that_is_killed_by_the_machine_is_a_refusal_of_the_moment() -> None:
    def kill() -> None:
        child = wait_until(lambda: trial_of(os.getpid()), 20, "a trial")
        child.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    refusal = refused(ENDLESS)
    killer.join()
    assert refusal.reason is Reason.MEMORY
    assert "SIGKILL" in refusal.found


def test_a_trial_that_crashes_is_a_refusal_with_the_signals_name() -> None:
    def crash() -> None:
        child = wait_until(lambda: trial_of(os.getpid()), 20, "a trial")
        child.send_signal(signal.SIGSEGV)

    crasher = threading.Thread(target=crash)
    crasher.start()
    refusal = refused(ENDLESS)
    crasher.join()
    assert refusal.reason is Reason.CRASH
    assert refusal.found.startswith("SIGSEGV")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_trial_that_somebody_ended_is_made_again_at_the_next_start(tmp_path: Path, number: signal.Signals) -> None:
    def end() -> None:
        child = wait_until(lambda: trial_of(os.getpid()), 20, "a trial")
        child.send_signal(number)

    hand = threading.Thread(target=end)
    hand.start()
    with heard(number), pytest.raises(ArtifactRefused, match=f"{number.name} from outside") as refusal:
        trials(tmp_path).admit(digest(ENDLESS), "m:1", ENDLESS)
    hand.join()
    assert refusal.value.reason is Reason.INTERRUPTED
    assert trials(tmp_path).known(digest(ENDLESS)) is None


def trial_of(pid: int) -> psutil.Process | None:
    return next((child for child in psutil.Process(pid).children() if "models.trying" in child.cmdline()), None)


def test_a_trial_stands_behind_those_that_serve_while_it_imports() -> None:
    seen: list[tuple[int, int]] = []

    def look() -> None:
        child = wait_until(lambda: trial_of(os.getpid()), 20, "a trial")
        wait_until(lambda: os.getpriority(os.PRIO_PROCESS, child.pid) > os.getpriority(os.PRIO_PROCESS, 0), 5, "behind")
        imported = any("onnxruntime" in one.path for one in child.memory_maps())
        seen.append((imported, os.getsid(child.pid) == child.pid))

    looker = threading.Thread(target=look)
    looker.start()
    assert run("m:1", HONEST, LIMITS) is None
    looker.join()
    assert seen == [(False, True)]


def test_a_trial_that_waited_long_enough_for_what_nobody_wants_gets_a_part_of_what_others_want() -> None:
    if not Path("/proc/self/autogroup").exists():
        pytest.skip("this kernel groups no sessions")
    places: list[int] = []

    def look() -> None:
        child = wait_until(lambda: trial_of(os.getpid()), 20, "a trial")
        for place in (NICE_MAX, min(NICE_MAX, group_nice(os.getpid()) + STEPS_BACK)):
            wait_until(lambda place=place: group_nice(child.pid) == place, 20, f"a session at {place}")
            places.append(place)
        child.kill()

    looker = threading.Thread(target=look)
    looker.start()
    refusal = run("m:1", ENDLESS, limits(cpu_s=60))
    looker.join()
    assert refusal is not None and "SIGKILL" in refusal.found
    assert len(places) == 2


def test_a_trial_knows_nothing_of_this_processs_secrets_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_ADMIN_TOKEN", "secret")
    seen: list[bytes] = []

    def look() -> None:
        child = wait_until(lambda: trial_of(os.getpid()), 20, "a trial")
        seen.append(Path(f"/proc/{child.pid}/environ").read_bytes())
        wait_until(lambda: "65536" in limit(child, "Max file size"), 20, "limits")
        seen.append(limit(child, "Max address space").encode())

    looker = threading.Thread(target=look)
    looker.start()
    refused(ENDLESS, limits(cpu_s=3))
    looker.join()
    assert b"secret" not in seen[0]
    assert b"unlimited" not in seen[1]


def limit(process: psutil.Process, name: str) -> str:
    lines = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith(name))


def test_a_verdict_is_kept_and_asked_for_instead_of_another_trial(tmp_path: Path) -> None:
    found = trials(tmp_path)
    found.admit(digest(HONEST), "m:1", HONEST)
    again = trials(tmp_path).known(digest(HONEST))
    assert again is not None and again.refusal is None
    found.admit(digest(HONEST), "m:1", {})  # not tried again: without files it would be refused
    with pytest.raises(ArtifactRefused, match="NaN and nothing else"):
        found.admit(digest(NAN), "m:2", NAN)
    with pytest.raises(ArtifactRefused, match=r"^other:9, run of 1 row"):
        trials(tmp_path).refuse_known(digest(NAN), "other:9")
    found.refuse_known(digest(HONEST), "m:1")
    found.refuse_known("sha256:" + "0" * 64, "m:1")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"digest": 1}'])
def test_a_verdict_that_cannot_be_read_is_none(tmp_path: Path, damage: bytes) -> None:
    found = trials(tmp_path)
    found.admit(digest(HONEST), "m:1", HONEST)
    next(tmp_path.glob("*.json")).write_bytes(damage)
    assert found.known(digest(HONEST)) is None


def test_where_a_verdict_cannot_be_kept_it_stands_all_the_same(tmp_path: Path) -> None:
    for files in (HONEST, NAN):
        (tmp_path / f"{digest(files).replace(':', '-')}.json").mkdir()  # as a full disk: nothing can be put there
    trials(tmp_path).admit(digest(HONEST), "m:1", HONEST)
    with pytest.raises(ArtifactRefused):
        trials(tmp_path).admit(digest(NAN), "m:1", NAN)


def test_a_trial_cannot_write_more_than_an_answer() -> None:
    script = (
        "import os, sys; from models.confined import ANSWER_BYTES_MAX, restrict; from models.verdict import Limits;"
        "restrict(Limits(memory_bytes=1 << 28, cpu_s=5, wall_s=20, rows=1), 0);"
        "exec('try:\\n while True: os.write(1, bytes(1 << 20))\\nexcept OSError: pass')"
    )
    with os.fdopen(os.memfd_create("answer"), "w+b") as answer:
        subprocess.run([sys.executable, "-c", script], stdout=answer, cwd=ROOT, check=True, timeout=60)
        assert os.fstat(answer.fileno()).st_size == ANSWER_BYTES_MAX


def test_within_other_limits_it_is_tried_again(tmp_path: Path) -> None:
    trials(tmp_path).admit(digest(HONEST), "m:1", HONEST)
    assert trials(tmp_path, limits(cpu_s=9)).known(digest(HONEST)) is None


def verdict(refusal: Refusal | None) -> Verdict:
    return Verdict(digest="sha256:a", surroundings="here", limits=LIMITS, at_s=1_000, took_s=1, refusal=refusal)


@pytest.mark.parametrize("reason", [None, *Reason])
def test_only_what_may_be_the_machines_fault_is_forgotten(reason: Reason | None) -> None:
    refusal = None if reason is None else Refusal.of(reason, "", "x", "y")
    found, late = verdict(refusal), 1_000 + RETRY_AFTER_S
    passing = (Reason.MEMORY, Reason.TIME, Reason.CRASH, Reason.INTERRUPTED)
    assert found.holds("sha256:a", "here", LIMITS, 1_001) == (reason is not Reason.INTERRUPTED)
    assert found.holds("sha256:a", "here", LIMITS, late) == (reason not in passing)
    assert not found.holds("sha256:b", "here", LIMITS, 1_001)
    assert not found.holds("sha256:a", "there", LIMITS, 1_001)
    assert not found.holds("sha256:a", "here", limits(rows=1), 1_001)


def test_a_refusal_is_of_the_bytes_whatever_they_are_called_and_never_long() -> None:
    refusal = Refusal.of(Reason.LOAD, "m:1, node 'a'", "x" * 5_000, "y", ref="m:1")
    assert str(refusal.error("other:2")).startswith("other:2, node 'a': found xxx")
    assert len(str(refusal.error("other:2"))) < 1_200
    assert str(Refusal.of(Reason.LOAD, "contract.json", "x", "y").error("m:1")).startswith(
        "m:1, contract.json: found x"
    )
