"""How are the demo models trained? From a recipe to a fitted pipeline, its data and its graph.

Law: a recipe decides everything; fitting is single-threaded, so its sums are added in one order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from models.demo.export import export
from models.demo.seasons import DAY_S, WEEK_S, arrivals
from models.demo.simulator import CATEGORICAL, FEATURES, LABEL, NUMERIC, Payments, join, payments
from models.demo.tumours import Tumours, tumours

START_S = 1_780_272_000  # Monday 2026-06-01 00:00 UTC
ROWS_PER_MINUTE = 30.0
TIME = "at_s"
_AGE_OF_NULL = -1.0  # no customer and no account has it: one split tells null from every value
_HELD_OUT_EVERY = 4  # tumours: every fourth row is kept for the metrics


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides a version. `fit_rows_max` and `data_weeks`: payments only; the baseline counts every row in any case."""

    name: str
    version: str
    about: str
    data_seed: int
    fit_seed: int
    trees: int
    depth: int
    learning_rate: float
    subsample: float
    fit_rows_max: int = 0
    data_weeks: int = 0

    def parameters(self) -> dict[str, int | float | str]:
        return {
            "estimator": "GradientBoostingClassifier",
            "data_seed": self.data_seed,
            "fit_seed": self.fit_seed,
            "fit_rows_max": self.fit_rows_max,
            "data_weeks": self.data_weeks,
            "trees": self.trees,
            "depth": self.depth,
            "learning_rate": self.learning_rate,
            "subsample": self.subsample,
        }


RECIPES = (
    Recipe("payments", "1", "fraud in simulated card payments", 1, 1, 100, 3, 0.1, 0.5, 150_000, 4),
    Recipe(
        "payments", "2", "candidate: more and deeper trees, a month of its own", 2, 2, 150, 4, 0.08, 0.5, 150_000, 4
    ),
    Recipe("tumours", "1", "benign or malignant, from the Wisconsin breast-cancer data", 0, 1, 100, 3, 0.1, 1.0),
)


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A fitted version: its graph, the table its contract and baseline come from, and rows it has not seen.

    `held_out`: graph inputs by tensor; `truth`, `predicted`: (n,) and (n, 2) for these rows, by scikit-learn.
    """

    recipe: Recipe
    model: bytes
    frame: pd.DataFrame
    label: str
    time: str | None
    held_out: Mapping[str, npt.NDArray[Any]]
    truth: npt.NDArray[np.bool_]
    predicted: npt.NDArray[np.float64]


def train(recipe: Recipe) -> Trained:
    """The version that this recipe makes."""
    return _train_tumours(recipe) if recipe.name == "tumours" else _train_payments(recipe)


def simulated(seed: int, start_s: float, end_s: float) -> Payments:
    """Payments from start to end, a day at a time to bound the memory it takes."""
    rng = np.random.default_rng(seed)
    days = np.arange(start_s, end_s, DAY_S)
    return join([payments(rng, arrivals(rng, day, min(day + DAY_S, end_s), ROWS_PER_MINUTE)) for day in days])


def frame_of(batch: Payments) -> pd.DataFrame:
    """The payments as a table with label and time."""
    return pd.DataFrame({**batch.features(), LABEL: batch.fraud, TIME: batch.at_s})


def tensors_of(batch: Payments) -> dict[str, npt.NDArray[Any]]:
    """The payments as the graph takes them."""
    columns = batch.features()
    return {
        "numeric": np.stack([columns[name].astype(np.float32) for name in NUMERIC], axis=1),
        "categorical": np.stack([columns[name].astype(object) for name in CATEGORICAL], axis=1),
    }


def _train_payments(recipe: Recipe) -> Trained:
    end_s = START_S + recipe.data_weeks * WEEK_S
    month, week = simulated(recipe.data_seed, START_S, end_s), simulated(recipe.data_seed + 1000, end_s, end_s + WEEK_S)
    table = single_precision(month)
    step = max(1, len(table) // recipe.fit_rows_max)
    pipeline = payments_pipeline(recipe).fit(table.iloc[::step], month.fraud[::step])
    return Trained(
        recipe=recipe,
        model=export(recipe.name, pipeline, {"numeric": NUMERIC}, {"categorical": CATEGORICAL}),
        frame=frame_of(month),
        label=LABEL,
        time=TIME,
        held_out=tensors_of(week),
        truth=week.fraud,
        predicted=pipeline.predict_proba(single_precision(week)),
    )


def payments_pipeline(recipe: Recipe) -> Any:
    """Columns by number: the graph has two matrices, and the exporter counts across them."""
    numeric, categorical = range(len(NUMERIC)), range(len(NUMERIC), len(FEATURES))
    columns = ColumnTransformer(
        [
            ("numeric", SimpleImputer(strategy="constant", fill_value=_AGE_OF_NULL), list(numeric)),
            ("categorical", OneHotEncoder(handle_unknown="ignore", sparse_output=False), list(categorical)),
        ]
    )
    return Pipeline([("columns", columns), ("trees", _trees(recipe))])


def _train_tumours(recipe: Recipe) -> Trained:
    known = tumours()
    cells = known.cells.astype(np.float32)
    held_out = np.arange(len(known)) % _HELD_OUT_EVERY == 0
    pipeline = Pipeline([("trees", _trees(recipe))]).fit(cells[~held_out], known.benign[~held_out])
    return Trained(
        recipe=recipe,
        model=export(recipe.name, pipeline, {"measurements": known.features}, {}),
        frame=_tumours_frame(known),
        label=known.label,
        time=None,
        held_out={"measurements": cells[held_out]},
        truth=known.benign[held_out],
        predicted=pipeline.predict_proba(cells[held_out]),
    )


def _tumours_frame(known: Tumours) -> pd.DataFrame:
    return pd.DataFrame(known.cells, columns=list(known.features)).assign(**{known.label: known.benign})


def _trees(recipe: Recipe) -> Any:
    return GradientBoostingClassifier(
        n_estimators=recipe.trees,
        max_depth=recipe.depth,
        learning_rate=recipe.learning_rate,
        subsample=recipe.subsample,
        random_state=recipe.fit_seed,
    )


def single_precision(batch: Payments) -> pd.DataFrame:
    """The features as the graph sees them: a threshold learnt between two doubles would be unreachable in float32."""
    table = pd.DataFrame(batch.features())
    return table.astype(dict.fromkeys(NUMERIC, np.float32))
