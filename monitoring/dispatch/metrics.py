"""Deliveries as Prometheus families; labels are the names of the settings' receivers and fixed words."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from monitoring.dispatch.deliveries import Why
from monitoring.status import OutboxStatus

PREFIX = "plumbline_monitor"


def delivery_metrics(outbox: OutboxStatus) -> Iterator[Metric]:
    """One family a question."""
    attempts = _counter("receiver_attempts", "Posts to a receiver.", ("receiver",))
    delivered = _counter("receiver_delivered", "Events a receiver took.", ("receiver",))
    failures = _counter("receiver_failures", "Posts to a receiver that delivered nothing.", ("receiver",))
    refused = _counter("receiver_refused", "Incidents not kept for a receiver: too much waits for it.", ("receiver",))
    disabled = _gauge("receiver_disabled", "1 when the receiver asked for no more events.", ("receiver",))
    due = _gauge("events_due", "Events to be sent that the receiver has not taken.", ("receiver",))
    held = _gauge("events_held", "Events that are not sent yet, by why.", ("receiver", "why"))
    withheld = _gauge("events_withheld", "Events that are kept and never sent, by why.", ("receiver", "why"))
    for one in outbox.receivers:
        attempts.add_metric([one.name], one.attempts)
        delivered.add_metric([one.name], one.delivered)
        failures.add_metric([one.name], one.failures)
        refused.add_metric([one.name], one.refused)
        disabled.add_metric([one.name], float(one.disabled))
        due.add_metric([one.name], one.events.get("due", 0))
        for why in Why:
            if why.value in one.held:
                held.add_metric([one.name, why.value], one.held[why.value])
            if why.value in one.withheld:
                withheld.add_metric([one.name, why.value], one.withheld[why.value])
    yield from (attempts, delivered, failures, refused, disabled, due, held, withheld)
    silences = _gauge("silences", "Silences that hold.", ())
    silences.add_metric([], float(outbox.silences))
    yield silences


def _gauge(name: str, help_: str, labels: tuple[str, ...]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", help_, labels=labels)


def _counter(name: str, help_: str, labels: tuple[str, ...]) -> CounterMetricFamily:
    return CounterMetricFamily(f"{PREFIX}_{name}", help_, labels=labels)
