"""How do segments look to Prometheus: metric families of their status, made anew at each scrape.

Law: series are bounded by the rules: `segments_max` segments a version, one series a column that is watched and a kind that
occurred.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily

from monitoring.status import VersionStatus

PREFIX = "plumbline_monitor_segment"
SEGMENT = ("model", "version", "segment")


def segment_metrics(versions: Iterable[VersionStatus]) -> Iterator[GaugeMetricFamily]:
    """Where each segment stands."""
    learnt = GaugeMetricFamily(
        f"{PREFIX}_learnt", "1 where the segment has a reference of its own and is judged.", labels=SEGMENT
    )
    rows = GaugeMetricFamily(f"{PREFIX}_learnt_rows", "Rows that its reference was learnt from.", labels=SEGMENT)
    drifted = GaugeMetricFamily(
        f"{PREFIX}_drifted", "1 where a check of the segment fails.", labels=(*SEGMENT, "side", "column", "kind")
    )
    refused = GaugeMetricFamily(
        f"{PREFIX}s_refused", "Declared segments that are not watched.", labels=("model", "version")
    )
    for version in versions:
        names = [version.model, version.version]
        if version.segments or version.segments_refused:
            refused.add_metric(names, len(version.segments_refused))
        for segment in version.segments:
            learnt.add_metric([*names, segment.segment], float(segment.learnt_until_s is not None))
            rows.add_metric([*names, segment.segment], segment.learnt_rows)
            for check in (*segment.drift, *segment.skew):
                labels = [*names, segment.segment, check.side, check.column, check.check]
                drifted.add_metric(labels, float(check.verdict == "drifted"))
    yield from (learnt, rows, drifted, refused)
