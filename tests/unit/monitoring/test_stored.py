from pathlib import Path

import msgspec
import numpy as np
import pytest

from monitoring.checkpoint import Checkpoints
from monitoring.errors import CheckpointInvalid
from monitoring.fold import fold
from monitoring.rules import Rules
from monitoring.state import State
from monitoring.stored import Stored, restore, store
from tests.unit.monitoring.made import START_MINUTE, chunk, model, refused, traffic

MADE = model(rows=2000)
RULES = Rules()


def busy() -> State:
    """A state with something in every part."""
    state = State()
    records = traffic(
        np.random.default_rng(1), minutes=range(START_MINUTE, START_MINUTE + 90), rows_per_minute=10, scale=50.0
    )
    fold(state, chunk(*records, made=MADE), settled=True, rules=RULES, references=MADE.references())
    late = refused(START_MINUTE * 60_000_000, schema=-1)
    fold(state, chunk(late, *records[-40:-1], made=MADE), settled=False, rules=RULES, references=MADE.references())
    open_minute = traffic(
        np.random.default_rng(2), minutes=range(START_MINUTE + 95, START_MINUTE + 96), rows_per_minute=10
    )[:-1]
    fold(state, chunk(*open_minute, made=MADE), settled=False, rules=RULES, references=MADE.references())
    assert state.open and state.alerts and state.marks and state.counters.late
    return state


def test_a_state_comes_back_from_its_bytes_as_it_was() -> None:
    held = store(busy())
    data = msgspec.msgpack.encode(held)
    assert store(restore(msgspec.msgpack.decode(data, type=Stored), RULES)) == held


def test_a_window_of_other_length_starts_empty_and_alerts_stay() -> None:
    held = busy()
    assert any(check.window_s == 3600 for check in held.alerts[next(iter(held.alerts))].latched)
    state = restore(store(held), Rules(drift_windows_s=(7200, 100 * 60)))
    (track,) = [track for key, track in state.tracks.items() if key.arm == "stable"]
    assert track.drift[8].slices  # of the window of two hours, as before
    assert not track.drift[7].slices
    assert set(state.marks) == {8}
    (alert,) = state.alerts.values()
    assert {check.window_s for check in alert.latched} <= {7200}


def test_a_state_of_another_format_is_refused() -> None:
    other = msgspec.structs.replace(store(State()), format=99)
    with pytest.raises(CheckpointInvalid, match="found 99, expected 2"):
        restore(other, RULES)


def test_a_checkpoint_from_before_there_were_shadows_is_taken_up() -> None:
    held = msgspec.to_builtins(store(busy()))
    del held["shadows"]
    state = restore(msgspec.convert(held, Stored), RULES)
    assert state.tracks and not state.shadows.rooms


def test_a_checkpoint_comes_back_with_its_positions(tmp_path: Path) -> None:
    state, positions = busy(), {"w0": (1, 2, 300)}
    Checkpoints(tmp_path).save(positions, state)
    found, back = Checkpoints(tmp_path).load(RULES)
    assert found == positions
    assert store(back) == store(state)


def test_no_checkpoint_is_an_empty_state(tmp_path: Path) -> None:
    positions, state = Checkpoints(tmp_path).load(RULES)
    assert positions == {}
    assert store(state) == store(State())


def test_every_damaged_byte_of_a_checkpoint_is_noticed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({"w0": (1, 0, 0)}, State())
    path = tmp_path / "checkpoint"
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        with pytest.raises(CheckpointInvalid):
            checkpoints.load(RULES)
    for cut in (0, 3, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(CheckpointInvalid):
            checkpoints.load(RULES)


def test_a_checkpoint_that_was_being_written_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.4711.new").write_bytes(b"half")
    Checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == []
