"""What needs no library: fixed PSI > 0.2 on deciles of the reference, and the three dummies.

The rule of thumb (PSI below 0.1: nothing, above 0.2 or 0.25: a significant shift) goes back to credit scoring (Siddiqi
2006); it knows no sample size. Empty bins count as half a row.
"""

import numpy as np
from scenario import Report, Scenario, given

THRESHOLD = 0.2
PERIOD_MINUTES = 7 * 1440  # the retraining calendar of a team without a monitor


def bins(scenario: Scenario) -> list[np.ndarray]:
    """Inner edges by column: deciles of numbers, between the codes of categories; null is a bin of its own."""
    found = []
    for place, column in enumerate(scenario.columns):
        values = scenario.reference[:, place]
        values = values[~np.isnan(values)]
        if column["kind"] == "string":
            found.append(np.arange(-0.5, len(column["categories"])))
        else:
            found.append(np.unique(np.quantile(values, np.arange(1, 10) / 10)))
    return found


def shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    null = np.isnan(values)
    place = np.where(null, len(edges) + 1, np.searchsorted(edges, np.where(null, 0.0, values), side="right"))
    counts = np.bincount(place, minlength=len(edges) + 2).astype(float)
    return np.maximum(counts, 0.5) / len(values)


def psi(scenario: Scenario, report: Report) -> None:
    edges = bins(scenario)
    names = [column["name"] for column in scenario.columns]
    base = [shares(scenario.reference[:, place], edge) for place, edge in enumerate(edges)]

    def alarming(rows: np.ndarray) -> str:
        for place, edge in enumerate(edges):
            now = shares(rows[:, place], edge)
            used = (now * len(rows) > 0.5) | (base[place] * len(scenario.reference) > 0.5)
            p, q = now[used], base[place][used]
            if float(((p - q) * np.log(p / q)).sum()) > THRESHOLD:
                return names[place]
        return ""

    for number, stream in scenario.streams():
        for seen, chunk in scenario.chunks(stream):
            report.look(number, stream, seen, report.own(alarming, scenario.rows[chunk]))
        report.over(stream)


def dummy(scenario: Scenario, report: Report, variant: str) -> None:
    for number, stream in scenario.streams():
        due = PERIOD_MINUTES
        for seen, _ in scenario.chunks(stream):
            minute = (scenario.at_s[stream.start + seen - 1] - scenario.at_s[stream.start]) / 60
            alarm = variant == "always" or (variant == "periodic" and minute >= due)
            due += PERIOD_MINUTES * (variant == "periodic" and minute >= due)
            report.look(number, stream, seen, "calendar" if alarm else "")
        report.over(stream)


if __name__ == "__main__":
    scenario, variant = given()
    report = Report(scenario)
    if variant == "psi":
        psi(scenario, report)
    else:
        dummy(scenario, report, variant)
    report.end()
