"""The model of the tutorial (docs/tutorial.md): how many minutes does a delivery take?

    python docs/examples/deliveries.py train out/                     writes out/v1.onnx, v2.onnx, v3.onnx and out/train.csv
    python docs/examples/deliveries.py send out/ 08:00 09:00          two orders a second of an hour, as fast as it goes
    python docs/examples/deliveries.py send out/ 12:00 12:10 metres   the same from an app that sends the distance in metres

Version 2 is better than version 1; version 3 was trained on hours instead of minutes, by mistake.
All orders that are sent are of one day, the one after the training's (UTC), however late they are sent.
"""

import os
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LinearRegression

FEATURES = ["distance_km", "items", "rain", "express"]
LABEL = "minutes"
TABLE = "train.csv"
ORDERS_A_MINUTE = 120
URL = os.environ.get("DELIVERIES_URL", "http://127.0.0.1:3000")


def orders(rng: np.random.Generator, at: pd.DatetimeIndex) -> pd.DataFrame:
    """Orders at these times, and how long each took."""
    distance_km, items = rng.gamma(3.0, 1.2, len(at)), rng.poisson(2.0, len(at)) + 1
    rain, express = rng.random((2, len(at))) < [[0.2], [0.3]]
    minutes = (12 - 4 * express) + 3.5 * distance_km * (1 + 0.6 * rain) + 1.5 * items + rng.normal(0, 3, len(at))
    parts = {
        "distance_km": distance_km,
        "items": items,
        "rain": rain.astype(int),
        "express": express.astype(int),
        LABEL: minutes,
    }
    return pd.DataFrame(parts).assign(at=at)


def train(out: str) -> None:
    """Three versions, and the rows that they were trained on: four weeks until today."""
    today = pd.Timestamp.now(tz="UTC").floor("D")
    at = pd.date_range(today - pd.Timedelta(days=28), today, freq="2min", inclusive="left")
    table = orders(np.random.default_rng(0), at)
    values, minutes = table[FEATURES].to_numpy(np.float32), table[LABEL]
    models = {
        "v1": LinearRegression().fit(values, minutes),
        "v2": GradientBoostingRegressor(random_state=0).fit(values, minutes),
        "v3": LinearRegression().fit(values, minutes / 60),
    }
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in models.items():
        (folder / f"{name}.onnx").write_bytes(to_onnx(model, values[:1]).SerializeToString())
    table.to_csv(folder / TABLE, index=False)
    first, second = (models[name].score(values, minutes) for name in ("v1", "v2"))
    print(f"{len(table)} orders, R² of version 1: {first:.2f}, of version 2: {second:.2f}")


def day_of(out: str) -> str:
    """When the orders are: the training ended with a midnight, and a day later this one begins."""
    last = pd.read_csv(Path(out) / TABLE, usecols=["at"], parse_dates=["at"])["at"].max()
    return str((last.ceil("D") + pd.Timedelta(days=1)).date())


def send(out: str, begin: str, end: str, unit: str = "km") -> None:
    """Every order as a request at its own time."""
    day, every = day_of(out), timedelta(minutes=1) / ORDERS_A_MINUTE
    at = pd.date_range(f"{day} {begin}", f"{day} {end}", freq=every, tz="UTC", inclusive="left")
    table = orders(np.random.default_rng(int(at[0].timestamp())), at)
    table["distance_km"] *= 1000 if unit == "metres" else 1
    with httpx.Client(base_url=URL, trust_env=False) as client:
        for row in table.itertuples(index=False):
            body = {"instances": [{name: getattr(row, name) for name in FEATURES}]}
            headers = {"x-event-time": str(int(row.at.timestamp() * 1e6))}
            client.post("/v1/models/deliveries:predict", json=body, headers=headers).raise_for_status()
    print(f"{len(table)} orders between {begin} and {end}")


if __name__ == "__main__":
    {"train": train, "send": send}[sys.argv[1]](*sys.argv[2:])
