"""Bring your own model: bicycle rides an hour, trained on one year and watched through the next.

    python docs/examples/rides.py train hour.csv out/        writes out/rides.onnx and out/train.csv
    python docs/examples/rides.py replay hour.csv URL        sends the second year hour by hour, with its own event times

`hour.csv` is the UCI Bike Sharing data set (Fanaee-T and Gama 2013, CC BY 4.0); any table with a label would do as well.
"""

import sys
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

WHOLE = ["season", "hr", "holiday", "weekday", "workingday", "weathersit"]
REAL = ["temp", "atemp", "hum", "windspeed"]
FEATURES = [*WHOLE, *REAL]
LABEL = "cnt"
FIRST_HOUR = pd.Timestamp("2011-01-01", tz="UTC")


def read(path: str) -> pd.DataFrame:
    """The table with the time of each row."""
    table = pd.read_csv(path)
    return table.assign(at=FIRST_HOUR + pd.to_timedelta(table["instant"] - 1, unit="h"))


def train(path: str, out: str) -> None:
    """A pipeline fitted to 2011, as ONNX, and the rows that it was fitted to."""
    first_year = read(path).query("yr == 0")
    values = first_year[FEATURES].to_numpy(np.float32)
    encode = ColumnTransformer(
        [("weather", OneHotEncoder(handle_unknown="ignore"), [FEATURES.index("weathersit")])], remainder="passthrough"
    )
    pipeline = make_pipeline(encode, GradientBoostingRegressor(n_estimators=200, max_depth=5, random_state=0))
    pipeline.fit(values, first_year[LABEL])
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rides.onnx").write_bytes(to_onnx(pipeline, values[:1]).SerializeToString())
    first_year[[*FEATURES, "at", LABEL]].to_csv(folder / "train.csv", index=False)
    print(f"R² on 2011: {pipeline.score(values, first_year[LABEL]):.3f}")


def replay(path: str, url: str) -> None:
    """Every hour of 2012 as one request at its own time; the label follows an hour later."""
    second_year = read(path).query("yr == 1")
    with httpx.Client(base_url=url, trust_env=False) as client:
        for row in second_year.itertuples(index=False):
            at_us = int(row.at.timestamp() * 1e6)
            features = {name: int(getattr(row, name)) for name in WHOLE} | {
                name: float(getattr(row, name)) for name in REAL
            }
            headers = {"x-event-time": str(at_us), "x-request-id": f"hour-{row.instant}"}
            client.post("/v1/models/rides:predict", json={"instances": [features]}, headers=headers).raise_for_status()
            label = {"request_id": f"hour-{row.instant}", "label": int(row.cnt), "observed_at": at_us / 1e6 + 3600}
            client.post("/v1/models/rides:feedback", json=label).raise_for_status()
    print(f"{len(second_year)} hours sent")


if __name__ == "__main__":
    {"train": train, "replay": replay}[sys.argv[1]](*sys.argv[2:])
