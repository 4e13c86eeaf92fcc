"""The model dashboard: how does each version of a model fare, and is what it gets and says still what training had?"""

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.board import Row, board
from deploy.grafana.panels import (
    BAD,
    MODEL,
    ODD,
    THIRD,
    VERSION,
    WIDE,
    Limit,
    Line,
    Panels,
    Says,
    lines,
    rows,
    states,
    word,
)

ARM = "{{model}}:{{version}} {{arm}}"
NAME = "{{model}}:{{version}}"
SHOWN_MAX = 12  # lines of one panel; a model may have hundreds of columns
COLUMN = "model, version, side, column"


def model() -> Dashboard:
    text = "Versions of a model: requests, errors and durations by arm, drift, skew, segments, labels, shadows."
    every = [
        Row("Requests, errors, durations", _requests()),
        Row("Batches", _batches()),
        Row("Drift and skew", _drift()),
        Row("Labels", _labels()),
        Row("Shadows", _shadows()),
    ]
    return board("model", text, ("home", "model", "version"), every)


def _rate(metric: str, by: str, more: str = "") -> str:
    return f"sum by (model, version, {by}) (rate({metric}{{{VERSION}{more}}}[$__rate_interval]))"


def _quantile(duration: str, quantile: str) -> str:
    return f"histogram_quantile({quantile}, {_rate(f'plumbline_request_{duration}_seconds_bucket', 'arm, le')})"


def _requests() -> list[Panels]:
    every = _rate("plumbline_requests_total", "arm")
    failed = _rate("plumbline_requests_total", "arm", ', outcome=~"failed|shed"')
    return [
        lines(
            Says("Requests", "Predict requests a second by version, arm and outcome.", "reqps"),
            [Line(_rate("plumbline_requests_total", "arm, outcome"), ARM + " {{outcome}}")],
            width=THIRD,
        ),
        lines(
            Says(
                "Failed and shed",
                "Share of requests answered 5xx by version and arm.",
                "percentunit",
                ("PlumblineErrorBudgetBurnFast", "PlumblineErrorBudgetBurnSlow", "PlumblineVersionEjected"),
            ),
            [Line(f"({failed} or 0 * {every}) / {every}", ARM)],
            (Limit(0.001, ODD), Limit(0.0144, BAD)),
            width=THIRD,
        ),
        lines(
            Says(
                "Duration",
                "Arrival until the record was made, of answered requests: half of them, and all but one in a hundred.",
                "s",
                ("PlumblineLatencyBudgetBurnFast", "PlumblineLatencyBudgetBurnSlow"),
            ),
            [Line(_quantile("duration", "0.5"), ARM + " p50"), Line(_quantile("duration", "0.99"), ARM + " p99")],
            (Limit(0.1, ODD),),
            width=THIRD,
        ),
        lines(
            Says(
                "Errors by code",
                "Requests a second that were not answered, by error code (docs/reference.md).",
                "reqps",
            ),
            [Line(_rate("plumbline_requests_total", "code", ', outcome!="answered"'), NAME + " {{code}}")],
            width=THIRD,
        ),
        lines(
            Says("Where the time goes", "p99 of waiting for the runtime, and in the runtime.", "s"),
            [Line(_quantile("queue", "0.99"), ARM + " waits"), Line(_quantile("compute", "0.99"), ARM + " computes")],
            width=THIRD,
        ),
        lines(
            Says("Rows", "Rows answered a second by version and arm.", "rowsps"),
            [Line(_rate("plumbline_rows_total", "arm"), ARM)],
            width=THIRD,
        ),
    ]


def _batches() -> list[Panels]:
    total = "sum by (model, version) (rate(plumbline_batch_rows_{what}{{{of}}}[$__rate_interval]))"
    return [
        lines(
            Says("Rows in one run", "Mean rows of a run of the runtime.", "none"),
            [Line(f"{total.format(what='sum', of=VERSION)} / {total.format(what='count', of=VERSION)}", NAME)],
        ),
        lines(
            Says("Why runs began", "Runs a second by what released them: full, idle, timer, deadline.", "ops"),
            [Line(_rate("plumbline_batch_releases_total", "reason"), NAME + " {{reason}}")],
        ),
    ]


def _drift() -> list[Panels]:
    of_drift, of_skew = f'{{{VERSION}, kind="drift"}}', f'{{{VERSION}, kind!="drift"}}'
    times = "max by ({by}) (plumbline_monitor_effect_lower_bound{of} / plumbline_monitor_effect_tolerance{of})"
    worst = f"topk({SHOWN_MAX}, {{}})"
    return [
        lines(
            Says(
                "Drift, of what is tolerated",
                f"Lower bound of each column's drift over its tolerance, the {SHOWN_MAX} largest; above 1 it has drifted.",
                "none",
                ("PlumblineDrift",),
            ),
            [Line(worst.format(times.format(by=COLUMN, of=of_drift)), NAME + " {{side}} {{column}}")],
            (Limit(1, BAD),),
        ),
        lines(
            Says(
                "Skew, of what is tolerated",
                f"The same for odd rows: nulls, types, ranges, categories, the {SHOWN_MAX} largest.",
                "none",
                ("PlumblineSkew",),
            ),
            [Line(worst.format(times.format(by=f"{COLUMN}, kind", of=of_skew)), NAME + " {{column}} {{kind}}")],
            (Limit(1, BAD),),
        ),
        lines(
            Says("Drift", f"Drift of each column in PSI, the {SHOWN_MAX} largest.", "none", ("PlumblineDrift",)),
            [
                Line(
                    worst.format(f"max by ({COLUMN}) (plumbline_monitor_effect{of_drift})"),
                    NAME + " {{side}} {{column}}",
                )
            ],
            width=THIRD,
        ),
        *_judged(),
    ]


def _judged() -> list[Panels]:
    return [
        states(
            Says(
                "Phase of the alert",
                "The phase that a version is in: quiet, pending, firing, cooling.",
                "none",
                ("PlumblineDrift", "PlumblineSkew"),
            ),
            [
                Line(
                    f"max by (model, version, phase) (plumbline_monitor_alert_phase{{{VERSION}}} == 1)",
                    NAME + " {{phase}}",
                )
            ],
            {"1": word("now", ODD)},
            width=THIRD,
        ),
        lines(
            Says("Rows judged", "Rows that the checks of a version are made on: the fewest, and the most.", "none"),
            [
                Line(f"min by (model, version) (plumbline_monitor_window_rows{{{VERSION}}})", NAME + " fewest"),
                Line(f"max by (model, version) (plumbline_monitor_window_rows{{{VERSION}}})", NAME + " most"),
            ],
            width=THIRD,
        ),
        rows(
            Says(
                "Checks",
                "The newest verdict of each check: 1 has drifted; a check without enough rows is absent.",
                "none",
            ),
            Line(f"max by ({COLUMN}, kind) (plumbline_monitor_drifted{{{VERSION}}})", "drifted"),
            (Limit(1, BAD),),
            width=THIRD,
        ),
        rows(
            Says("Segments", "1 where a segment has a reference of its own and is judged, 0 while it learns.", "none"),
            Line(f"max by (model, version, segment) (plumbline_monitor_segment_learnt{{{VERSION}}})", "judged"),
            width=THIRD,
        ),
        lines(
            Says(
                "Rows an hour",
                "Rows of the newest whole hour, and what is usual at that time (low, middle, high).",
                "none",
                ("PlumblineVolumeChanged",),
            ),
            [
                Line(f"max by (model) (plumbline_monitor_volume_rows{{{MODEL}}})", "{{model}}"),
                Line(
                    f"max by (model, bound) (plumbline_monitor_volume_expected_rows{{{MODEL}}})", "{{model}} {{bound}}"
                ),
            ],
            width=THIRD,
        ),
    ]


def _labels() -> list[Panels]:
    measures = f'plumbline_monitor_label_measure{{{VERSION}, as=~"realised|estimated"}}'
    return [
        lines(
            Says(
                "Quality",
                "How good predictions of each window were, by their labels, or probably are (estimated).",
                "none",
            ),
            [
                Line(
                    f"max by (model, version, window, measure, as) ({measures})",
                    NAME + " {{measure}} {{window}} {{as}}",
                )
            ],
            width=THIRD,
        ),
        lines(
            Says(
                "Evidence that it got worse",
                "Of what an alarm needs: at 1 it stands.",
                "percentunit",
                ("PlumblineLabelAlarm",),
            ),
            [
                Line(
                    f"max by (model, version, check) (plumbline_monitor_label_evidence{{{VERSION}}})",
                    NAME + " {{check}}",
                )
            ],
            (Limit(1, BAD),),
            width=THIRD,
        ),
        lines(
            Says("Predictions without a label", "Predictions that wait for their label.", "none"),
            [Line(f"max by (model, version) (plumbline_monitor_label_waiting{{{VERSION}}})", NAME)],
            width=THIRD,
        ),
    ]


def _shadows() -> list[Panels]:
    pair = "{{model}}:{{version}} and {{shadow}}"
    by = "model, version, shadow"
    return [
        lines(
            Says("Agreement", "Share of rows in which a shadow says what was answered, by output.", "percentunit"),
            [
                Line(
                    f"max by ({by}, output) (plumbline_monitor_shadow_agreement_ratio{{{VERSION}}})",
                    pair + " {{output}}",
                )
            ],
            width=THIRD,
        ),
        lines(
            Says(
                "Requests that both answered",
                "Over the shadow window, and those that the shadow could not answer.",
                "none",
            ),
            [
                Line(f"max by ({by}) (plumbline_monitor_shadow_requests{{{VERSION}}})", pair + " both"),
                Line(f"max by ({by}) (plumbline_monitor_shadow_failed{{{VERSION}}})", pair + " failed"),
            ],
            width=THIRD,
        ),
        lines(
            Says(
                "What became of shadow runs",
                "Requests offered to shadows a second, by result (docs/shadows.md).",
                "ops",
            ),
            [
                Line(
                    f"sum by (model, version, result) (rate(plumbline_shadow_runs_total{{{MODEL}}}[$__rate_interval]))",
                    NAME + " {{result}}",
                )
            ],
            width=THIRD,
        ),
        lines(
            Says("Slower than the answer", "Shadow's time in the runtime less the answer's; may be negative.", "s"),
            [
                Line(
                    f"max by ({by}, quantile) (plumbline_monitor_shadow_latency_difference_seconds{{{VERSION}}})",
                    pair + " q{{quantile}}",
                )
            ],
            width=WIDE,
            signed=True,
        ),
    ]
