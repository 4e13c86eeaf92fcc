"""How do rollouts look to Prometheus: metric families of their status, made anew at each scrape.

Law: series are bounded by ROLLOUTS_MAX documents; words are those of the core.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from monitoring.rollout.control import Reason
from monitoring.status import RolloutStatus

PREFIX = "plumbline_monitor_rollout"
ROLLOUT = ("model", "version")


def rollout_metrics(rollouts: Iterable[RolloutStatus]) -> Iterator[Metric]:
    """What each rollout came to at the last look."""
    share = GaugeMetricFamily(
        f"{PREFIX}_permitted_percent", "Share that the evidence permits the canary.", labels=ROLLOUT
    )
    outcome = GaugeMetricFamily(
        f"{PREFIX}_outcome", "1 for what follows: advance, hold, rollback or done.", labels=(*ROLLOUT, "outcome")
    )
    stands = GaugeMetricFamily(
        f"{PREFIX}_stands",
        "1 for how it stands after the last look; 0 for every reason where the log or the routes could not be read or changed.",
        labels=(*ROLLOUT, "reason"),
    )
    evidence = GaugeMetricFamily(
        f"{PREFIX}_evidence_ratio",
        "Evidence against the canary by guard, in logarithms: at 1 it is rolled back.",
        labels=(*ROLLOUT, "guard"),
    )
    changes = CounterMetricFamily(
        f"{PREFIX}_changes", "Changes of the routes made: canary (a share), abort, promote.", labels=("model", "do")
    )
    problems = CounterMetricFamily(
        f"{PREFIX}_problems",
        "Looks that failed: document, log, unreachable (the admin API), or the code that it refused with.",
        labels=("model", "reason"),
    )
    for told in rollouts:
        labels = [told.model, told.version]
        if told.percent is not None:
            share.add_metric(labels, told.percent)
        if told.outcome is not None:
            outcome.add_metric([*labels, type(told.outcome).__name__.lower()], 1)
        for reason in Reason:
            stands.add_metric([*labels, reason.value], float(told.stands is reason))
        for guard in told.guards:
            evidence.add_metric([*labels, guard.guard], guard.log10_evidence / guard.log10_needed)
        for do, n in told.changes.items():
            changes.add_metric([told.model, do], n)
        for word, n in told.problems.items():
            problems.add_metric([told.model, word], n)
    yield from (share, outcome, stands, evidence, changes, problems)
