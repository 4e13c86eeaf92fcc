"""The rows that came, and those that were to be expected, as series of `/metrics`: four a model."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily

from monitoring.volume.said import VolumeStatus

PREFIX = "plumbline_monitor_volume"


def volume_metrics(volumes: Iterable[VolumeStatus]) -> Iterator[GaugeMetricFamily]:
    """No series where there is no verdict yet."""
    rows = GaugeMetricFamily(f"{PREFIX}_rows", "Rows in the newest whole hour.", labels=("model",))
    expected = GaugeMetricFamily(
        f"{PREFIX}_expected_rows", "Rows that are usual in that hour: low, middle, high.", labels=("model", "bound")
    )
    changed = GaugeMetricFamily(
        f"{PREFIX}_changed", "1 where the rows of that hour are far from usual.", labels=("model",)
    )
    for line in volumes:
        if line.rows is None:
            continue
        rows.add_metric([line.model], line.rows)
        changed.add_metric([line.model], float(line.verdict == "changed"))
        for bound, value in (("low", line.low), ("middle", line.expected), ("high", line.high)):
            if value is not None:
                expected.add_metric([line.model, bound], value)
    yield from (rows, expected, changed)
