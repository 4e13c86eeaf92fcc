"""NannyML with its defaults, as its documentation shows them (nannyml.readthedocs.io, tutorials: univariate drift detection;
multivariate drift detection, data reconstruction with PCA; data quality: missing values, unseen values):

    calc = nml.UnivariateDriftCalculator(column_names=…, treat_as_categorical=…, chunk_size=…)
    calc.fit(reference); results = calc.calculate(analysis)

Default methods: Jensen–Shannon distance for both kinds of columns; default thresholds: mean ± 3 standard deviations over the
reference's chunks, and of unseen values none at all. `univariate` alarms when any column does, `reconstruction` when the
error of the PCA does, `quality` when the missing values of a column or the unseen ones of a text do.
"""

import warnings
from itertools import chain
from typing import Any

import nannyml as nml
import pandas as pd
from scenario import Report, Scenario, given


def calculators(scenario: Scenario, variant: str, texts: list[str]) -> list[Any]:
    """What the variant looks at, each alarming on its own."""
    names = [column["name"] for column in scenario.columns]
    rows = scenario.chunk_rows
    if variant == "reconstruction":
        return [nml.DataReconstructionDriftCalculator(column_names=names, chunk_size=rows)]
    if variant == "quality":
        missing = nml.MissingValuesCalculator(column_names=names, chunk_size=rows)
        return [missing, nml.UnseenValuesCalculator(column_names=texts, chunk_size=rows)] if texts else [missing]
    return [nml.UnivariateDriftCalculator(column_names=names, treat_as_categorical=texts, chunk_size=rows)]


def alarming(calculator: Any, frame: pd.DataFrame) -> list[list[str]]:
    """Of each chunk the columns that alarm."""
    result = calculator.calculate(frame).filter(period="analysis").to_df()
    alerts = result.loc[:, [column for column in result.columns if column[-1] == "alert"]]
    names = [str(column[0]) for column in alerts.columns]
    return [[name for name, alert in zip(names, row, strict=True) if alert] for row in alerts.to_numpy()]


def main() -> None:
    warnings.filterwarnings("ignore")
    scenario, variant = given()
    report = Report(scenario)
    texts = [column["name"] for column in scenario.columns if column["kind"] == "string"]
    reference = scenario.frame(scenario.reference, pd)
    for name in texts:  # as its data sets have them; without it a text that training never had ends the PCA
        reference[name] = reference[name].astype("object")
    fitted = calculators(scenario, variant, texts)
    for calculator in fitted:
        calculator.fit(reference)
    for number, stream in scenario.streams():
        frame = scenario.frame(scenario.rows[stream], pd)
        whole = len(frame) // scenario.chunk_rows * scenario.chunk_rows
        if whole:
            found = [report.own(alarming, calculator, frame.iloc[:whole]) for calculator in fitted]
            for place, of_chunk in enumerate(zip(*found, strict=True), 1):
                report.look(number, stream, place * scenario.chunk_rows, ",".join(chain(*of_chunk)))
        report.over(stream)
    report.end()


if __name__ == "__main__":
    main()
