"""(d): the loss of a model on FriedmanDrift. River makes the rows, a model learns the first concept, all watch its loss."""

from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from loadtests.bench.environments import interpreter
from loadtests.drift.run import TARGETS, program
from loadtests.drift.scenarios import Cells, Scenario, losses
from loadtests.drift.systems import RIVER

BEFORE, AFTER = 2_500, 2_500
TRAINING = 10_000  # half to learn from, half for the reference of its loss


def friedman(trials: int, folder: Path, cache: Path, seed: int) -> Scenario:
    """Absolute errors of a model that was trained before and knows nothing of the trials. Raises TargetFailed."""
    made = folder / "friedman.npz"
    words = [TARGETS / "friedman.py", made, trials, BEFORE, AFTER, TRAINING, seed]
    program("FriedmanDrift", [interpreter(RIVER, cache), *words])
    with np.load(made) as held:
        training, streams = held["training"], held["streams"]
    learnt, rest = training[: TRAINING // 2], training[TRAINING // 2 :]
    model = HistGradientBoostingRegressor(random_state=seed).fit(learnt[:, :-1], learnt[:, -1])

    def loss(rows: Cells) -> Cells:
        return np.asarray(np.abs(model.predict(rows[:, :-1]) - rows[:, -1]), dtype=np.float64)

    flat = loss(streams.reshape(-1, streams.shape[-1])).reshape(trials, BEFORE + AFTER)
    return losses(loss(rest), flat, BEFORE)
