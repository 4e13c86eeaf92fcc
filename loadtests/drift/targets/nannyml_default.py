"""NannyML with its defaults, as its documentation shows them (nannyml.readthedocs.io, tutorials: univariate drift detection;
multivariate drift detection, data reconstruction with PCA):

    calc = nml.UnivariateDriftCalculator(column_names=…, treat_as_categorical=…, chunk_size=…)
    calc.fit(reference); results = calc.calculate(analysis)

Default methods: Jensen–Shannon distance for both kinds of columns; default thresholds: mean ± 3 standard deviations over the
reference's chunks. `univariate` alarms when any column does, `reconstruction` when the error of the PCA does.
"""

import warnings

import nannyml as nml
import pandas as pd
from scenario import Report, given


def main() -> None:
    warnings.filterwarnings("ignore")
    scenario, variant = given()
    report = Report(scenario)
    names = [column["name"] for column in scenario.columns]
    texts = [column["name"] for column in scenario.columns if column["kind"] == "string"]
    if variant == "univariate":
        calculator = nml.UnivariateDriftCalculator(
            column_names=names, treat_as_categorical=texts, chunk_size=scenario.chunk_rows
        )
    else:
        calculator = nml.DataReconstructionDriftCalculator(column_names=names, chunk_size=scenario.chunk_rows)
    reference = scenario.frame(scenario.reference, pd)
    for name in texts:  # as its data sets have them; without it a text that training never had ends the PCA
        reference[name] = reference[name].astype("object")
    calculator.fit(reference)
    for number, stream in scenario.streams():
        frame = scenario.frame(scenario.rows[stream], pd)
        whole = len(frame) // scenario.chunk_rows * scenario.chunk_rows
        if whole:
            result = report.own(calculator.calculate, frame.iloc[:whole]).filter(period="analysis").to_df()
            alerts = result.loc[:, [column for column in result.columns if column[-1] == "alert"]]
            for place, row in enumerate(alerts.to_numpy()):
                what = ",".join(str(name[0]) for name, alert in zip(alerts.columns, row, strict=True) if alert)
                report.look(number, stream, (place + 1) * scenario.chunk_rows, what)
        report.over(stream)
    report.end()


if __name__ == "__main__":
    main()
