"""The overview: does everything run, do the promises hold, what has changed?"""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.board import Row, board
from deploy.grafana.panels import (
    BAD,
    GOOD,
    HOME,
    ODD,
    WIDE,
    Limit,
    Line,
    Panels,
    Says,
    lines,
    number,
    rows,
    states,
    word,
)

UP = {"0": word("down", BAD), "1": word("up", GOOD)}
PHASE = {"0": word("no", GOOD), "1": word("yes", BAD)}
BURNT = (Limit(1, ODD), Limit(6, BAD), Limit(14.4, BAD))
ERRORS, SLOW = "plumbline:request_errors:ratio_rate", "plumbline:requests_slow:ratio_rate"
AVAILABLE, QUICK = "plumbline:availability:objective", "plumbline:latency:objective"


def overview() -> Dashboard:
    text = "One home at a glance: service and monitor, requests, error budgets, models, webhooks."
    every = [
        Row("Now", _now()),
        Row("Requests", _requests()),
        Row("Budgets", _budgets()),
        Row("Models", _models()),
        Row("Incidents and webhooks", _webhooks()),
    ]
    return board("overview", text, ("home",), every)


def _now() -> list[Panels]:
    return [
        number(
            Says("Service", "Whether Prometheus reads the service's metrics.", "none", ("PlumblineServiceDown",)),
            Line(f'min(up{{job="plumbline-service", {HOME}}})', "service"),
            words=UP,
        ),
        number(
            Says("Monitor", "Whether Prometheus reads the monitor's metrics.", "none", ("PlumblineMonitorDown",)),
            Line(f'min(up{{job="plumbline-monitor", {HOME}}})', "monitor"),
            words=UP,
        ),
        number(
            Says("Requests", "Predict requests a second, whatever became of them.", "reqps"),
            Line(f"sum(rate(plumbline_requests_received_total{{{HOME}}}[$__rate_interval]))", "requests"),
        ),
        number(
            Says("Failing", "Share of requests answered 5xx in five minutes, of the worst model.", "percentunit"),
            Line(f"max({ERRORS}5m{{{HOME}}})", "failing"),
            (Limit(0.001, ODD), Limit(0.0144, BAD)),
        ),
        number(
            Says("Incidents", "Versions whose alert is firing: drift, skew or labels.", "none"),
            Line(f'sum(plumbline_monitor_alert_phase{{{HOME}, phase="firing"}})', "incidents"),
            (Limit(1, BAD),),
        ),
        number(
            Says(
                "Log behind",
                "How long ago the newest minute is that the monitor has read.",
                "s",
                ("PlumblineMonitorBehind",),
            ),
            Line(f"time() - max(plumbline_monitor_watermark_timestamp_seconds{{{HOME}}} > 0)", "behind"),
            (Limit(60, ODD), Limit(300, BAD)),
        ),
        states(
            Says(
                "Alerts that fire", "Alerts of deploy/prometheus/alerts.yml; their pages are in docs/runbooks.", "none"
            ),
            [
                Line(
                    f'max by (alertname, severity) (ALERTS{{alertstate="firing", {HOME}}})',
                    "{{alertname}} {{severity}}",
                )
            ],
            {"1": word("firing", BAD)},
            width=WIDE,
        ),
    ]


def _requests() -> list[Panels]:
    return [
        lines(
            Says(
                "Requests by model",
                "Predict requests a second; no model: the request named none that is served.",
                "reqps",
            ),
            [Line(f"sum by (model) (rate(plumbline_requests_total{{{HOME}}}[$__rate_interval]))", "{{model}}")],
            width=8,
        ),
        lines(
            Says(
                "Failed and shed by model",
                "Share of requests answered 5xx, in five minutes. What is rejected (4xx) is the callers'.",
                "percentunit",
                ("PlumblineErrorBudgetBurnFast",),
            ),
            [Line(f"max by (model) ({ERRORS}5m{{{HOME}}})", "{{model}}")],
            width=8,
        ),
        lines(
            Says(
                "p99 by model",
                "Arrival until the record was made, of answered requests.",
                "s",
                ("PlumblineLatencyBudgetBurnFast",),
            ),
            [Line(_quantile("0.99", "model"), "{{model}}")],
            (Limit(0.1, ODD),),
            width=8,
        ),
    ]


def _quantile(quantile: str, by: str) -> str:
    buckets = f"rate(plumbline_request_duration_seconds_bucket{{{HOME}}}[$__rate_interval])"
    return f"histogram_quantile({quantile}, sum by (le, {by}) ({buckets}))"


def _burnt(ratio: str, objective: str, window: str) -> Line:
    return Line(f"{ratio}{window}{{{HOME}}} / (1 - scalar({objective}))", "{{model}} over " + window)


def _budgets() -> list[Panels]:
    how = "How many times faster than the objective allows; at 1 a month's budget lasts a month. "
    rule = "14.4 over an hour or 6 over six hours wakes somebody, 3 over a day or 1 over three days is a ticket."
    left = "Share of the objective's errors that are not used up, as long as Prometheus keeps what it saw (30 days in compose)."
    return [
        lines(
            Says(
                "Error budget, burn rate",
                how + rule,
                "none",
                ("PlumblineErrorBudgetBurnFast", "PlumblineErrorBudgetBurnSlow"),
            ),
            [_burnt(ERRORS, AVAILABLE, window) for window in ("1h", "6h", "1d", "3d")],
            BURNT,
            width=10,
        ),
        lines(
            Says(
                "Latency budget, burn rate",
                how + rule,
                "none",
                ("PlumblineLatencyBudgetBurnFast", "PlumblineLatencyBudgetBurnSlow"),
            ),
            [_burnt(SLOW, QUICK, window) for window in ("1h", "6h", "1d", "3d")],
            BURNT,
            width=10,
        ),
        number(
            Says("Error budget left", left, "percentunit"),
            Line(f"1 - max(avg_over_time({ERRORS}1h{{{HOME}}}[30d])) / (1 - scalar({AVAILABLE}))", "left"),
        ),
        number(
            Says("Latency budget left", left, "percentunit"),
            Line(f"1 - max(avg_over_time({SLOW}1h{{{HOME}}}[30d])) / (1 - scalar({QUICK}))", "left"),
        ),
    ]


def _models() -> list[Panels]:
    return [
        states(
            Says(
                "Incidents",
                "Versions whose alert is firing.",
                "none",
                ("PlumblineDrift", "PlumblineSkew", "PlumblineLabelAlarm"),
            ),
            [
                Line(
                    f'max by (model, version) (plumbline_monitor_alert_phase{{{HOME}, phase="firing"}})',
                    "{{model}}:{{version}}",
                )
            ],
            PHASE,
        ),
        rows(
            Says(
                "Checks that say drifted",
                "Each column and kind of check that fails now.",
                "none",
                ("PlumblineDrift", "PlumblineSkew"),
            ),
            Line(
                f"max by (model, version, side, column, kind) (plumbline_monitor_effect_lower_bound{{{HOME}}}"
                f" and plumbline_monitor_drifted{{{HOME}}} == 1)",
                "effect at least",
            ),
        ),
        lines(
            Says("Rows an hour", "Rows of the newest whole hour of each model.", "none", ("PlumblineVolumeChanged",)),
            [Line(f"max by (model) (plumbline_monitor_volume_rows{{{HOME}}})", "{{model}}")],
        ),
        lines(
            Says(
                "Memory of versions",
                "Of the loaded versions of all workers, as measured when they were loaded.",
                "bytes",
            ),
            [Line(f"sum by (home) (plumbline_versions_memory_bytes{{{HOME}}})", "{{home}}")],
        ),
    ]


def _webhooks() -> list[Panels]:
    return [
        lines(
            Says(
                "Events that wait",
                "Events to be sent that a receiver has not taken, and those that wait in the outbox.",
                "none",
                ("PlumblineEventsStuck", "PlumblineReceiverDisabled"),
            ),
            [
                Line(f"max by (receiver) (plumbline_monitor_events_due{{{HOME}}})", "due for {{receiver}}"),
                Line(
                    f"max by (receiver, why) (plumbline_monitor_events_held{{{HOME}}})",
                    "held for {{receiver}}: {{why}}",
                ),
                Line(f"sum(plumbline_monitor_outbox_pending{{{HOME}}})", "in the outbox"),
            ],
        ),
        lines(
            Says(
                "Posts to receivers",
                "Posts a second by receiver: taken, and those that delivered nothing.",
                "reqps",
                ("PlumblineWebhookFailing",),
            ),
            [
                Line(
                    f"sum by (receiver) (rate(plumbline_monitor_receiver_delivered_total{{{HOME}}}[$__rate_interval]))",
                    "{{receiver}} took",
                ),
                Line(
                    f"sum by (receiver) (rate(plumbline_monitor_receiver_failures_total{{{HOME}}}[$__rate_interval]))",
                    "{{receiver}} failed",
                ),
            ],
        ),
        number(
            Says(
                "Receivers disabled",
                "Receivers that answered 410: nothing is sent to them.",
                "none",
                ("PlumblineReceiverDisabled",),
            ),
            Line(f"sum(plumbline_monitor_receiver_disabled{{{HOME}}})", "disabled"),
            (Limit(1, BAD),),
        ),
        number(
            Says("Events refused", "Because too many waited; they are not sent.", "none", ("PlumblineEventsRefused",)),
            Line(f"sum(plumbline_monitor_outbox_refused_total{{{HOME}}})", "refused"),
            (Limit(1, BAD),),
        ),
        number(
            Says("Silences", "Silences that hold.", "none"),
            Line(f"sum(plumbline_monitor_silences{{{HOME}}})", "silences"),
        ),
        number(
            Says("Events explained", "New events whose rows were replayed to say what happened.", "none"),
            Line(f"sum(plumbline_monitor_explained_events_total{{{HOME}}})", "explained"),
        ),
    ]
