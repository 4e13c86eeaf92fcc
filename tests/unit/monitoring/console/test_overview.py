"""What every open page gets once a second: small, whatever is watched."""

import msgspec

from monitoring.console.overview import overview_of
from tests.unit.monitoring.console.made import folded, many, status_of

OVERVIEW_BYTES_MAX = 1_000  # a version


def test_fifty_models_of_two_hundred_features_are_some_kilobytes() -> None:
    pulse = many()
    status, told = pulse.status(), overview_of(pulse.status(), None, 0.0)
    assert len(told.versions) == 50
    assert {one.features for one in told.versions} == {200}
    assert len(msgspec.json.encode(told)) < 50 * OVERVIEW_BYTES_MAX < len(msgspec.json.encode(status)) / 20
    assert sum(one.worst is not None for one in told.versions) == 5


def test_checks_are_counted_by_verdict_and_requests_by_outcome() -> None:
    status = status_of(folded(scale=1000.0))
    told = overview_of(status, None, 7.0)
    (line,), version = told.versions, status.versions[0]
    assert sum(line.checks.values()) == len(version.drift) + len(version.skew) + len(version.labels)
    assert line.worst is not None
    assert line.worst.column == "f0"
    assert told.ledger.requests["answered"] == 60
    assert told.ledger.rows["answered"] == 600
    assert (told.at_s, line.phase) == (7.0, "firing")
