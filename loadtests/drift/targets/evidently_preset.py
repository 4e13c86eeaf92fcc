"""Evidently with its default preset, as its documentation shows it (docs.evidentlyai.com/metrics/preset_data_drift):

    report = Report([DataDriftPreset()])
    my_eval = report.run(current, ref)

The preset chooses the test of a column by its type and the size of the data; "by default, Dataset Drift is detected if at least
50 % of columns drift": those alarms are `wide`; the others are as soon as one column drifts. The reference is a sample,
whose size asks for the same tests as all of it would (above 1 000 rows): a report over all of it takes three times as long.
"""

import warnings

import numpy as np
import pandas as pd
from evidently import Report as Evaluation
from evidently.presets import DataDriftPreset
from scenario import Report, given

REFERENCE_ROWS = 20_000


def drifted(current: pd.DataFrame, reference: pd.DataFrame) -> tuple[float, list[str]]:
    """The share of drifted columns, and their names: a p-value below its threshold, a distance above it."""
    found = Evaluation([DataDriftPreset()]).run(current, reference).dict()["metrics"]
    share, names = 0.0, []
    for metric in found:
        config, value = metric["config"], metric["value"]
        if "column" in config:
            by_p = "p_value" in metric["metric_name"] or "p_value" in str(config.get("method"))
            if value < config["threshold"] if by_p else value >= config["threshold"]:
                names.append(config["column"])
        elif isinstance(value, dict):
            share = value["share"]
    return share, names


def main() -> None:
    warnings.filterwarnings("ignore")
    scenario, _ = given()
    report = Report(scenario)
    take = np.random.default_rng(1).choice(
        len(scenario.reference), min(REFERENCE_ROWS, len(scenario.reference)), replace=False
    )
    reference = scenario.frame(scenario.reference[take], pd)
    for number, stream in scenario.streams():
        for seen, chunk in scenario.chunks(stream):
            share, names = report.own(drifted, scenario.frame(scenario.rows[chunk], pd), reference)
            report.look(number, stream, seen, ",".join(names), wide=share >= 0.5)
        report.over(stream)
    report.end()


if __name__ == "__main__":
    main()
