"""river's drift detectors with their defaults, as its documentation shows them (riverml.xyz, API: drift):

    drift_detector.update(value)
    if drift_detector.drift_detected: …

A detector watches one number: one a numeric column, null left out; text cannot be said to them. They need no reference
and forget the past at each alarm; a row at which any of them alarms is one alarm. ADWIN, KSWIN and PageHinkley get numbers
in standard deviations from the mean of the reference: the defaults of PageHinkley (δ 0.005, threshold 50) and the bound of
ADWIN are in units of what they watch. HDDM takes bits (a prediction was wrong or not): one is 1 where the value is above
the third quartile of the reference. KSWIN gets a seed.
"""

import numpy as np
from river import drift
from scenario import Report, given

MAKERS = {
    "adwin": drift.ADWIN,
    "kswin": lambda: drift.KSWIN(seed=1),
    "page_hinkley": drift.PageHinkley,
    "hddm_a": drift.binary.HDDMA,
    "hddm_w": drift.binary.HDDMW,
}


def main() -> None:
    scenario, variant = given()
    report = Report(scenario)
    numeric = [place for place, column in enumerate(scenario.columns) if column["kind"] != "string"]
    limits = [np.nanquantile(scenario.reference[:, place], 0.75) for place in numeric]

    def fed(values: list[float]) -> list[int]:
        detector, found = MAKERS[variant](), []
        for seen, value in enumerate(values, 1):
            if value == value:
                detector.update(value)
                if detector.drift_detected:
                    found.append(seen)
        return found

    for number, stream in scenario.streams():
        alarming: dict[int, str] = {}
        for place, limit in zip(numeric, limits, strict=True):
            values = scenario.rows[stream, place]
            if variant.startswith("hddm"):
                values = np.where(np.isnan(values), np.nan, values > limit)
            else:
                values = scenario.standardised(values, place)
            name = scenario.columns[place]["name"]
            for seen in report.own(fed, values.tolist()):
                alarming[seen] = f"{alarming[seen]},{name}" if seen in alarming else name
        report.rows(number, stream, alarming)
        report.over(stream)
    report.end()


if __name__ == "__main__":
    main()
