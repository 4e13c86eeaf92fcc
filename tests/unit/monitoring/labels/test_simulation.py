"""Small versions of what `python -m tests.promises.labels` measures at length."""

import numpy as np
import pytest

from models.task import TaskKind
from tests.promises.labels import MONTH_H, Watched, World, change_that_raises, wave

pytestmark = pytest.mark.simulation


@pytest.mark.parametrize("kind", [TaskKind.BINARY, TaskKind.NUMBER])
def test_three_months_with_seasons_raise_nothing_and_a_loss_that_rises_by_half_is_found(kind: TaskKind) -> None:
    world, rng = World.of(kind), np.random.default_rng(20261130)
    watched = Watched(world, world.reference(50_000, rng))
    for hour in range(0, 3 * MONTH_H, 4):
        assert watched.come(hour, hour + 4, *world.rows(wave(hour, 120, rng), rng, hour)) == (False, False), hour
    changed, rows = change_that_raises(world, 0.5), 0
    for hour in range(3 * MONTH_H, 3 * MONTH_H + 200, 4):
        n = wave(hour, 120, rng)
        rows += n
        if any(watched.come(hour, hour + 4, *world.rows(n, rng, hour, changed))):
            break
    assert rows < 4_000
