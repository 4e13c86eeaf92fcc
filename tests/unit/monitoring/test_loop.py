import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import structlog.testing

from models.disk import Disk
from models.registry import Registry
from models.reserve import Reserve
from monitoring.checkpoint import Checkpoints
from monitoring.erased import Erased
from monitoring.explain.ladder import place as slice_of
from monitoring.explain.sample import Rows
from monitoring.intake import Intake
from monitoring.loop import Loop
from monitoring.outbox import Outbox
from monitoring.pulse import Pulse
from monitoring.references import References
from monitoring.rules import Rules
from monitoring.state import State
from monitoring.status import LoopStatus, OutboxStatus, Status, log_of
from tests.processes import wait_until
from tests.small_disk import CannotMount, fill, small_disk
from tests.unit.monitoring.crashing import POINTS
from tests.unit.monitoring.made import START_MINUTE, Model, installed, model, traffic, write_log

pytestmark = pytest.mark.slow

NOTHING = OutboxStatus(None)
RULES = Rules()
DEADLINE_S = 20.0


def incident(home: Path) -> Model:
    """A log with 40 normal minutes and an incident, in two segments."""
    made = installed(model(rows=5000), home)
    rng = np.random.default_rng(2)
    normal = traffic(rng, minutes=range(START_MINUTE, START_MINUTE + 40), rows_per_minute=20)
    wrong = traffic(rng, minutes=range(START_MINUTE + 40, START_MINUTE + 90), rows_per_minute=20, scale=1000.0)
    write_log(home, made, normal)
    write_log(home, made, wrong, number=1, first_seq=len(normal))
    return made


def loop_of(
    home: Path, *, outbox: Outbox | None = None, intake: Intake | None = None, reserve: Reserve | None = None
) -> tuple[Loop, Pulse, list[str]]:
    first = Status(
        (), (), NOTHING, log_of(State(), {}, caught_up=False, lag_bytes=0), LoopStatus(0, 0, "", 0, 0, 0, 0, 0), RULES
    )
    pulse, offered = Pulse(first, 30.0), []
    loop = Loop(
        intake=intake or Intake(home / "log", {}, 400),
        references=References(Registry(home / "registry")),
        outbox=outbox or Outbox(home / "monitor" / "outbox", pending_max=10, delivered_kept=10),
        checkpoints=Checkpoints(home / "monitor"),
        reserve=reserve or Reserve(home / "reserve", 0, Disk()),
        pulse=pulse,
        rules=RULES,
        checkpoint_interval_s=0.0,
        offer=offered.extend,
        outbox_status=lambda: NOTHING,
        erased=Erased(home / "monitor"),
    )
    return loop, pulse, offered


def run_to_the_end(loop: Loop) -> None:
    loop.start()
    while not loop.tick():
        pass


def bodies(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (home / "monitor" / "outbox").glob("*.json")}


@pytest.mark.simulation
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_border_leaves_one_event_with_the_same_id_and_bytes(tmp_path: Path, point: str) -> None:
    (undisturbed := tmp_path / "undisturbed").mkdir()
    (killed := tmp_path / "killed").mkdir()
    incident(undisturbed)
    incident(killed)
    run_to_the_end(loop_of(undisturbed)[0])
    command = [sys.executable, "-m", "tests.unit.monitoring.crashing", str(killed)]
    root = Path(__file__).resolve().parents[3]
    dead = subprocess.run([*command, point], cwd=root, timeout=60, check=False)
    assert dead.returncode == -signal.SIGKILL
    subprocess.run([*command, "none"], cwd=root, timeout=60, check=True)
    assert len(bodies(undisturbed)) == 1
    assert bodies(killed) == bodies(undisturbed)
    (event_id,) = {Path(name).stem for name in bodies(killed)}
    assert set((killed / "offered").read_text().split()) == {event_id}
    assert not list(killed.glob("monitor/**/*.new"))


def test_an_event_is_on_disk_before_it_is_offered(tmp_path: Path) -> None:
    incident(tmp_path)
    loop, _, offered = loop_of(tmp_path)
    run_to_the_end(loop)
    assert {f"{event_id}.json" for event_id in offered} == set(bodies(tmp_path))


class FullDisk(Outbox):
    """Refuses the first put that has an event."""

    refusals = 1

    def put(self, events):
        held = list(events)
        if held and self.refusals:
            self.refusals -= 1
            raise OSError(28, "No space left on device")
        return super().put(held)


def test_a_tick_that_fails_is_counted_undone_and_loses_no_event(tmp_path: Path) -> None:
    incident(tmp_path)
    outbox = FullDisk(tmp_path / "monitor" / "outbox", pending_max=10, delivered_kept=10)
    loop, pulse, offered = loop_of(tmp_path, outbox=outbox)

    async def until_offered() -> None:
        loop.start()
        stop = asyncio.Event()
        running = asyncio.create_task(loop.run(stop, 0.001))
        await asyncio.to_thread(wait_until, lambda: offered, DEADLINE_S, "the event is offered")
        stop.set()
        await running

    asyncio.run(until_offered())
    assert outbox.refusals == 0
    assert len(bodies(tmp_path)) == 1
    status = pulse.status()
    assert status.loop.errors == 1
    assert "No space left" in status.loop.last_error
    assert pulse.unhealthy() is None


def test_on_a_full_disk_the_event_and_the_checkpoint_are_written_into_the_reserve(tmp_path: Path) -> None:
    incident(tmp_path)
    try:
        with small_disk(tmp_path / "monitor", 4 << 20) as disk:
            reserve = Reserve(disk / "reserve", 2 << 20, Disk())
            loop, pulse, offered = loop_of(tmp_path, reserve=reserve)
            filler = fill(disk)

            async def until_offered() -> None:
                loop.start()
                stop = asyncio.Event()
                running = asyncio.create_task(loop.run(stop, 0.001))
                await asyncio.to_thread(wait_until, lambda: offered, DEADLINE_S, "the event is offered")
                stop.set()
                await running

            asyncio.run(until_offered())
            assert len(bodies(tmp_path)) == 1
            assert pulse.status().loop.errors > 0
            assert pulse.status().loop.reserve_bytes == 0
            filler.unlink()
            assert reserve.refill()
            reserve.close()
    except CannotMount as error:
        pytest.skip(str(error))


def test_the_pulse_says_that_a_tick_failed_until_one_goes_well(tmp_path: Path) -> None:
    _, pulse, _ = loop_of(tmp_path)
    pulse.fail("OSError: gone")
    assert pulse.unhealthy() == "last tick failed: OSError: gone"
    pulse.beat()
    assert pulse.unhealthy() is None


def test_the_pulse_says_when_the_last_good_tick_is_too_old(tmp_path: Path) -> None:
    now = [100.0]
    pulse = Pulse(loop_of(tmp_path)[1].status(), 30.0, clock=lambda: now[0])
    now[0] = 129.0
    assert pulse.unhealthy() is None
    now[0] = 131.0
    assert pulse.unhealthy() == "last tick 31 s ago, expected one within 30 s"


def test_an_unreadable_checkpoint_is_kept_aside_and_the_log_read_again(tmp_path: Path) -> None:
    incident(tmp_path)
    run_to_the_end(loop_of(tmp_path)[0])
    before = bodies(tmp_path)
    (tmp_path / "monitor" / "checkpoint").write_bytes(b"rubbish")
    run_to_the_end(loop_of(tmp_path)[0])
    assert bodies(tmp_path) == before
    assert (tmp_path / "monitor" / "checkpoint.bad").read_bytes() == b"rubbish"


def test_a_story_that_fails_is_logged_and_its_event_is_kept(tmp_path: Path) -> None:
    incident(tmp_path)
    loop, _, offered = loop_of(tmp_path)
    loop.start()
    loop.tick()
    (ladder,) = loop._state.samples.ladders.values()
    at = slice_of(START_MINUTE - 2880, START_MINUTE)
    assert at is not None
    ladder.slices[at] = Rows.none(ladder.columns)._replace(
        nulls=np.zeros((0, 1), dtype=np.bool_)
    )  # joins with no other
    with structlog.testing.capture_logs() as logs:
        while not loop.tick():
            pass
    (line,) = [line for line in logs if line["event"] == "story_failed"]
    assert (line["model"], line["version"]) == ("payments", "1")
    assert "ValueError" in line["why"]
    assert len(set(offered)) == 1


def test_a_declared_segment_that_means_no_rows_is_said_once_and_the_others_are_watched(tmp_path: Path) -> None:
    made = installed(model(rows=2000), tmp_path)
    declared = {"payments": ("city", "amount > 5")}
    references = References(Registry(tmp_path / "registry"), segments=declared, segments_max=16)
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            known = references.learn({made.schema.digest: made.schema})[made.schema.digest]
    assert len(known.segments.segments) == 4
    (line,) = [line for line in logs if line["event"] == "segment_refused"]
    assert (line["ref"], line["declared"]) == ("payments:1", "amount > 5")
    assert "'amount', which is no feature" in line["reason"]


def test_a_baseline_that_arrives_late_is_picked_up(tmp_path: Path) -> None:
    (source := tmp_path / "source").mkdir()
    made = installed(model(rows=2000), source)
    now = [0.0]
    references = References(Registry(tmp_path / "registry"), clock=lambda: now[0])
    named = {made.schema.digest: made.schema}
    assert references.learn(named)[made.schema.digest].judged == ()
    (source / "registry").rename(tmp_path / "registry")
    assert references.learn(named)[made.schema.digest].judged == ()
    now[0] = 31.0
    assert len(references.learn(named)[made.schema.digest].judged) == 5


def test_after_an_erasure_the_rows_that_were_remembered_are_gone_also_from_the_checkpoint(tmp_path: Path) -> None:
    incident(tmp_path)
    loop, _, _ = loop_of(tmp_path)
    run_to_the_end(loop)
    checkpoints, word = Checkpoints(tmp_path / "monitor"), tmp_path / "monitor" / "erased"
    _, before = checkpoints.load(RULES)
    assert before.samples.ladders and before.samples.stories
    word.touch()
    later, _, _ = loop_of(tmp_path)  # it did not run while it was erased
    later.start()
    later.tick()
    _, after = checkpoints.load(RULES)
    assert not word.exists()
    assert not after.samples.ladders and not after.samples.stories
    assert {key: track.requests.tolist() for key, track in after.tracks.items()} == {
        key: track.requests.tolist() for key, track in before.tracks.items()
    }
